"""Runs a query in the database of `make run`, like Supabase's SQL Editor in a project.

    python scripts/sql.py "SELECT * FROM webhook_events ORDER BY created_at DESC LIMIT 10;"

Without an argument the query comes from standard input. SUPABASE_URL and SUPABASE_SECRET_KEY come from the
environment (`make run` writes them to .local/env). Statements that write are refused.
"""

import argparse
import json
import sys
from collections.abc import Sequence
from decimal import Decimal
from pathlib import Path
from typing import Any

import httpx

if __package__ in (None, ""):  # run as a file: make the checkout importable
    sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from scripts.local.credentials import read_project
from scripts.local.supabase import SQL_EDITOR
from supatoss.cli.output import plain, print_table
from supatoss.errors import ConfigurationError

TIMEOUT_SECONDS = 60.0
MAX_TABLE_COLUMNS = 9
"""More columns do not fit beside each other: each row is then a block of lines."""

READING = ("SELECT", "WITH", "VALUES", "TABLE")

NO_FUNCTION = "PGRST202"
"""PostgREST's code, and Lite's, for a missing function."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Exit status: 0 success, 1 the database refused or could not be reached, 2 wrong arguments or settings."""
    parser = argparse.ArgumentParser(prog="sql.py", description=(__doc__ or "").split("\n")[0])
    parser.add_argument("statement", nargs="?", help="one query (default: standard input)")
    parser.add_argument("--json", action="store_true", help="write the rows as JSON")
    options = parser.parse_args(arguments)
    try:
        url, key, _ = read_project()
    except ConfigurationError as error:
        return _refuse(*error.problems, status=2)
    statement = (sys.stdin.read() if options.statement is None else options.statement).strip().rstrip(";")
    if not statement.upper().startswith(READING):
        return _refuse(f"expected one query ({', '.join(READING)}), not: {statement[:40]}", status=2)
    try:
        response = httpx.post(
            f"{url}/rest/v1/rpc/{SQL_EDITOR}",
            json={"statement": statement},
            headers={"apikey": key},
            timeout=TIMEOUT_SECONDS,
            trust_env=False,
        )
        answer = response.json()
    except (httpx.HTTPError, httpx.InvalidURL, ValueError) as error:
        return _refuse(f"no answer from {url}: {type(error).__name__}; is `make run` running?", status=1)
    if not response.is_success:
        return _refuse(_reason(answer), status=1)
    if options.json:
        print(answer)
    else:
        _show(json.loads(answer, parse_float=Decimal))
    return 0


def _reason(answer: Any) -> str:
    problem = answer if isinstance(answer, dict) else {}
    if problem.get("code") == NO_FUNCTION:
        return f"there is no {SQL_EDITOR} here: only the project of `make run` has it; Supabase has its own SQL Editor"
    return f"the database says: {problem.get('message') or answer} ({problem.get('code') or 'no code'})"


def _show(rows: list[dict[str, Any]]) -> None:
    if not rows:
        print("no rows")
    elif len(rows[0]) <= MAX_TABLE_COLUMNS:
        print_table(list(rows[0]), [[_text(cell) for cell in row.values()] for row in rows])
    else:
        width = max(map(len, rows[0]))
        for number, row in enumerate(rows, 1):
            cells = ((name, _text(cell)) for name, cell in row.items())
            print(f"row {number}", *(f"  {name:{width}}  {cell}".rstrip() for name, cell in cells), sep="\n")


def _text(cell: Any) -> str:
    if cell is None:
        return ""
    return plain(cell) if isinstance(cell, str | Decimal) else json.dumps(cell, ensure_ascii=False, default=str)


def _refuse(*problems: str, status: int) -> int:
    print(*map(plain, problems), sep="\n", file=sys.stderr)
    return status


if __name__ == "__main__":
    sys.exit(main())
