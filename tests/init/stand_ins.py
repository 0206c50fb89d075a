"""Stands in for fly and npx: notes what it is told, and does what init looks at afterwards."""

import hashlib
import json
import os
import sys
import time
from pathlib import Path

import psycopg

HERE = Path(os.environ["STAND_INS"])
PATIENCE_SECONDS = 40.0


def main() -> int:
    program, *arguments = sys.argv[1:]
    typed = sys.stdin.read() if "import" in arguments else ""
    secret = {name: value for name, value in os.environ.items() if name == "PGPASSWORD"}
    with (HERE / "calls.jsonl").open("a") as log:
        log.write(
            json.dumps({"program": program, "arguments": arguments, "typed": typed, "environment": secret}) + "\n"
        )
    if (HERE / f"{program}-fails").exists():
        sys.stderr.write((HERE / f"{program}-fails").read_text())
        return 1
    return fly(arguments, typed) if program == "fly" else npx(arguments)


def fly(arguments: list[str], typed: str) -> int:
    secrets, apps = HERE / "secrets", HERE / "apps"
    match arguments:
        case ["apps", "list", "--json"]:
            sys.stdout.write(
                json.dumps([{"Name": name} for name in apps.read_text().split()] if apps.exists() else None)
            )
        case ["apps", "create", name]:
            apps.write_text(name)
        case ["secrets", "list", *_]:
            lines = secrets.read_text().splitlines() if secrets.exists() else []
            found = [line.partition("=") for line in lines]
            sys.stdout.write(
                json.dumps([{"name": n, "digest": hashlib.sha256(v.encode()).hexdigest()} for n, _, v in found])
            )
        case ["secrets", "import", *_]:
            secrets.write_text(typed)
        case ["deploy", *_]:
            ask_the_test("deploying")
    return 0


def ask_the_test(what: str) -> None:
    """The test does it, and takes the note away."""
    note, deadline = HERE / what, time.monotonic() + PATIENCE_SECONDS
    note.touch()
    while note.exists() and time.monotonic() < deadline:
        time.sleep(0.05)


def npx(arguments: list[str]) -> int:
    remote = next((a.removeprefix("--remote=") for a in arguments if a.startswith("--remote=")), None)
    if "push" in arguments and remote:
        with psycopg.connect(remote) as connection:
            for file in sorted(Path("supabase/migrations").glob("*.sql")):
                connection.execute(file.read_bytes())
                connection.commit()
        ask_the_test("pushing")
    return 0


if __name__ == "__main__":
    sys.exit(main())
