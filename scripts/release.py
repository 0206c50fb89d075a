"""Cutting a release: versions, changelog, frozen migrations, recorded calls. docs/releasing.md says when.

python -m scripts.release cut 0.2.0     writes all of it into the checkout
python -m scripts.release check v0.2.0  whether the checkout is what the tag says (the release workflow asks)
python -m scripts.release notes 0.2.0   that version's section of the changelog
"""

import argparse
import datetime as dt
import hashlib
import json
import re
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
UNRELEASED = "## Unreleased"
VERSION = re.compile(r"\d+\.\d+\.\d+((a|b|rc)\d+)?")

Released = Mapping[str, Mapping[str, str]]
"""By version, oldest first: the digests of the migrations that came with it, by file name."""


class ReleaseError(Exception):
    """The release can't be cut; the message says why."""


@dataclass(frozen=True)
class Checkout:
    """The files of a checkout that a release is about."""

    root: Path = ROOT

    @property
    def migrations(self) -> Path:
        """The SQL files."""
        return self.root / "supabase/migrations"

    @property
    def released_file(self) -> Path:
        """Which migrations are frozen."""
        return self.root / "supabase/released.json"

    @property
    def changelog(self) -> Path:
        """CHANGELOG.md."""
        return self.root / "CHANGELOG.md"

    def calls(self, version: str) -> Path:
        """What a release called, and was answered."""
        return self.root / f"tests/fixtures/released/{version}.json"

    def released(self) -> Released:
        """What is frozen."""
        found: Released = json.loads(self.released_file.read_text(encoding="utf-8"))
        return found

    def versions(self) -> set[str]:
        """The version as each file names it."""
        return {
            _found(self.root / "pyproject.toml", r'^version = "(.*)"$'),
            _found(self.root / "service/supatoss/__init__.py", r'^__version__ = "(.*)"$'),
        }


def digests(folder: Path) -> dict[str, str]:
    """SHA-256 of every migration, by name."""
    return {file.name: hashlib.sha256(file.read_bytes()).hexdigest() for file in sorted(folder.glob("*.sql"))}


def problems(folder: Path, released: Released) -> list[str]:
    """What breaks the promise that a released migration never changes, and that a new one comes after it."""
    now = digests(folder)
    frozen = {name: digest for files in released.values() for name, digest in files.items()}
    found = [f"{name} is released and gone" for name in frozen if name not in now]
    found += [
        f"{name} is released and was changed: restore it, and write a new migration"
        for name, digest in frozen.items()
        if now.get(name, digest) != digest
    ]
    newest = max(frozen, default="")
    found += [
        f"{name} comes before {newest}, which is released: the Supabase CLI would refuse it"
        for name in now
        if name not in frozen and name < newest
    ]
    return found


def cut(checkout: Checkout, version: str, day: dt.date) -> None:
    """Writes the release into the checkout. Raises ReleaseError before anything is written."""
    if not VERSION.fullmatch(version):
        raise ReleaseError(f"{version} is not a version such as 0.2.0")
    released = checkout.released()
    if version in released:
        raise ReleaseError(f"{version} is frozen already")
    if found := problems(checkout.migrations, released):
        raise ReleaseError("\n".join(found))
    text = checkout.changelog.read_text(encoding="utf-8")
    if f"{UNRELEASED}\n" not in text:
        raise ReleaseError(f"CHANGELOG.md has no section {UNRELEASED}")
    frozen = {name for files in released.values() for name in files}
    new = {name: digest for name, digest in digests(checkout.migrations).items() if name not in frozen}
    _replace(checkout.root / "pyproject.toml", r'^version = ".*"$', f'version = "{version}"')
    _replace(checkout.root / "service/supatoss/__init__.py", r'^__version__ = ".*"$', f'__version__ = "{version}"')
    checkout.changelog.write_text(text.replace(UNRELEASED, f"## {version} ({day})", 1), encoding="utf-8")
    write_json(checkout.released_file, {**released, version: new})


def check(checkout: Checkout, tag: str) -> list[str]:
    """What keeps the checkout from being the release that the tag names."""
    version = tag.removeprefix("v")
    found = [] if tag == f"v{version}" and VERSION.fullmatch(version) else [f"{tag} is not a tag such as v0.2.0"]
    found += [f"a file names version {other}" for other in sorted(checkout.versions() - {version})]
    text = checkout.changelog.read_text(encoding="utf-8")
    if not re.search(rf"^## {re.escape(version)} \(\d{{4}}-\d\d-\d\d\)$", text, re.MULTILINE):
        found.append(f"CHANGELOG.md has no section ## {version} (date)")
    if UNRELEASED in text:
        found.append(f"CHANGELOG.md has a section {UNRELEASED}")
    released = checkout.released()
    if version not in released:
        found.append(f"supabase/released.json doesn't name {version}: its migrations are not frozen")
    frozen = {name for files in released.values() for name in files}
    found += [f"{name} is not frozen" for name in digests(checkout.migrations) if name not in frozen]
    found += problems(checkout.migrations, released)
    if not checkout.calls(version).exists():
        found.append(f"{checkout.calls(version).relative_to(checkout.root)} is missing")
    return found


def notes(checkout: Checkout, version: str) -> str:
    """The section of a version, without its heading. Raises ReleaseError."""
    text = checkout.changelog.read_text(encoding="utf-8")
    section = re.search(rf"^## {re.escape(version)} \([^)\n]*\)\n(.*?)(?=^## |\Z)", text, re.MULTILINE | re.DOTALL)
    if not section:
        raise ReleaseError(f"CHANGELOG.md has no section for {version}")
    return section[1].strip() + "\n"


def write_json(file: Path, content: Any) -> None:
    """Indented, with a line break at the end."""
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(json.dumps(content, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")


def _found(file: Path, pattern: str) -> str:
    match = re.search(pattern, file.read_text(encoding="utf-8"), re.MULTILINE)
    return match[1] if match else ""


def _replace(file: Path, pattern: str, line: str) -> None:
    text = file.read_text(encoding="utf-8")
    changed, times = re.subn(pattern, line, text, count=1, flags=re.MULTILINE)
    if not times:
        raise ReleaseError(f"{file.name} has no line {pattern}")
    file.write_text(changed, encoding="utf-8")


def main(arguments: Sequence[str]) -> int:
    """The command."""
    parser = argparse.ArgumentParser(prog="python -m scripts.release", description="Cut, check or describe a release.")
    commands = parser.add_subparsers(dest="command", required=True)
    cutting = commands.add_parser("cut", help="write versions, changelog, frozen migrations and recorded calls")
    cutting.add_argument("version")
    cutting.add_argument("--date", type=dt.date.fromisoformat, default=dt.datetime.now(dt.UTC).date())
    commands.add_parser("check", help="whether the checkout is what a tag says").add_argument("tag")
    commands.add_parser("notes", help="a version's section of the changelog").add_argument("version")
    given = parser.parse_args(arguments)
    checkout = Checkout()
    try:
        if given.command == "notes":
            print(notes(checkout, given.version), end="")
        elif given.command == "check":
            found = check(checkout, given.tag)
            print(*(found or [f"{given.tag}: ready"]), sep="\n", file=sys.stderr if found else sys.stdout)
            return 1 if found else 0
        else:
            cut(checkout, given.version, given.date)
            subprocess.run([sys.executable, "-m", "tests.released", given.version], cwd=ROOT, check=True)
            print(
                f"{given.version} is cut. Look at it with git diff, run make test, commit, then tag v{given.version}."
            )
    except ReleaseError as error:
        print(error, file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
