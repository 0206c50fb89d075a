"""The bill of materials of what is shipped, as CycloneDX: python -m scripts.sbom FILE (`make sbom`).

The locked packages with their hashes, as cyclonedx-py reads them, and the libraries of the operators' page.
"""

import hashlib
import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
VENDOR = ROOT / "service/supatoss/ops/static/vendor"
_ROW = re.compile(
    r"^\| `(?P<folder>\w+)/` \|.*npm package `(?P<name>[^`]+)` \| (?P<version>\S+) \| (?P<licence>\S+) \|"
)


def main(target: str) -> int:
    """Writes the file."""
    file = Path(target)
    file.parent.mkdir(parents=True, exist_ok=True)
    options = ["--pyproject", "pyproject.toml", "--output-reproducible", "--of", "JSON", "-o", "-"]
    command = [sys.executable, "-W", "ignore", "-m", "cyclonedx_py", "requirements", *options, "requirements.txt"]
    done = subprocess.run(command, cwd=ROOT, stdout=subprocess.PIPE, check=True, timeout=120)
    document = json.loads(done.stdout)
    document["components"] += vendored()
    file.write_text(json.dumps(document, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
    print(f"{file}: {len(document['components'])} components")
    return 0


def vendored() -> list[dict[str, Any]]:
    """The libraries that lie in the package, from the table beside them."""
    rows = filter(None, map(_ROW.match, (VENDOR / "README.md").read_text(encoding="utf-8").splitlines()))
    return [_component(**row.groupdict()) for row in rows]


def _component(folder: str, name: str, version: str, licence: str) -> dict[str, Any]:
    files = [file for file in sorted((VENDOR / folder).iterdir()) if file.name != "LICENSE"]
    return {
        "type": "library",
        "bom-ref": f"vendor-{name}",
        "name": name,
        "version": version,
        "purl": f"pkg:npm/{name}@{version}",
        "licenses": [{"license": {"id": licence}}],
        "components": [
            {
                "type": "file",
                "name": file.name,
                "hashes": [{"alg": "SHA-256", "content": hashlib.sha256(file.read_bytes()).hexdigest()}],
            }
            for file in files
        ],
    }


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
