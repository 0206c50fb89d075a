"""schemathesis on docs/openapi.yaml, against a running service: python -m tests.fuzz.endpoints MINUTES.

Two deliveries of three are signed on their way out, so that bodies get past the signature and into the tables.
"""

import os
import subprocess
import sys
import tempfile
from pathlib import Path

from scripts.local_stack import LOOPBACK, ROOT, free_port
from tests.processes import running_service, running_supabase
from tests.support import SECRET_KEY

SUPABASE_KEY = "sb_secret_for_fuzzing_0000000000000001"
METRICS_TOKEN = "token-for-fuzzing-0001"
CHECKS = (
    *("not_a_server_error", "status_code_conformance", "content_type_conformance", "response_headers_conformance"),
    *("response_schema_conformance", "ignored_auth", "allow_header_conformance"),
)
"""Not those that want every odd body refused: unknown fields and types are accepted on purpose."""


def main(minutes: str = "1") -> int:
    """The exit status of schemathesis."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        with running_supabase(
            folder / "supabase", "sb_publishable_for_fuzzing", SUPABASE_KEY, with_postgres=True
        ) as lite:
            settings = {
                "SUPABASE_URL": lite.url,
                "SUPABASE_SECRET_KEY": SUPABASE_KEY,
                "TOSS_SECRET_KEY": SECRET_KEY,
                "TOSS_API_URL": f"http://{LOOPBACK}:{free_port()}",  # nobody answers there
                "TOSS_UNSIGNED": "reject",
                "WORKER": "off",
                "METRICS_TOKEN": METRICS_TOKEN,
            }
            with running_service(settings, folder / "service.log") as url:
                return _schemathesis(url, float(minutes) * 60, folder)


def _schemathesis(url: str, seconds: float, folder: Path) -> int:
    command = [
        *(sys.executable, "-m", "schemathesis.cli", "run", str(ROOT / "docs/openapi.yaml"), "--url", url),
        *("--checks", ",".join(CHECKS), "--max-time", f"{seconds:.0f}", "--max-failures", "5", "--no-color"),
        *("--generation-database", "none", "--warnings", "off", "--max-redirects", "0"),
        *("--header", f"Authorization: Bearer {METRICS_TOKEN}"),
    ]
    hooks = {"SCHEMATHESIS_HOOKS": "tests.fuzz.schemathesis_hooks", "PYTHONPATH": os.pathsep.join(sys.path)}
    return subprocess.run(
        command, cwd=folder, env={**os.environ, **hooks}, check=False, timeout=seconds + 300
    ).returncode


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
