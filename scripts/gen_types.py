"""Writes examples/nextjs/database.types.ts: what `supabase gen types` says about the tables an application uses.

    python -m scripts.gen_types

Runs the real Supabase CLI (npm brings it) against a PostgreSQL server with the migrations. Left out is what only the
service uses, which no application can call: the views and functions, and the other tables.
"""

import os
import re
import subprocess
import sys

import psycopg

from scripts.local_stack import MIGRATIONS, ROOT, STATE, LocalPostgres, StackError, find_node, install

CLI_SECONDS = 60
TABLES = ("payments", "settlements", "subscriptions", "webhook_events")
TARGET = ROOT / "examples" / "nextjs" / "database.types.ts"
SHAPES = ("Row", "Insert", "Update")

_NOBODY = "http://127.0.0.1:9"
_QUIET = {
    "PGSSLMODE": "disable",
    "SUPABASE_TELEMETRY_DISABLED": "1",
    "DO_NOT_TRACK": "1",
    "HTTP_PROXY": _NOBODY,
    "HTTPS_PROXY": _NOBODY,
}
"""The CLI talks to the database and to nobody else."""

_COLUMNS = r"\{([^{}]*)\};?\s+"
_TABLE = re.compile(
    rf'"?(\w+)"?: \{{\s+Row: {_COLUMNS}(?:ComputedFields: never\s+)?Insert: {_COLUMNS}Update: {_COLUMNS}', re.ASCII
)
_COLUMN = re.compile(r'"?(\w+)"?(\??): ([^,;\n]+)', re.ASCII)

Columns = dict[str, str]
Tables = dict[str, dict[str, Columns]]


def main() -> int:
    """Writes the file (0), or says what the CLI complained of (1)."""
    try:
        with LocalPostgres() as server:
            dsn = server.create_database("types")
            with psycopg.connect(dsn) as connection:
                for migration in sorted(MIGRATIONS.glob("*.sql")):
                    connection.execute(migration.read_text())
                    connection.commit()
            TARGET.write_text(render(ask_cli(dsn)), encoding="utf-8")
    except StackError as error:
        print(error, file=sys.stderr)
        return 1
    print(f"wrote {TARGET.relative_to(ROOT)}")
    return 0


def ask_cli(dsn: str) -> Tables:
    """What the CLI says about a database. StackError with its words if it fails."""
    cli = install(source=ROOT / "tests" / "push", name="push") / "supabase" / "dist" / "supabase.js"
    done = subprocess.run(
        [find_node().program, cli, "gen", "types", "--lang", "typescript", f"--remote={dsn}"],
        env={**os.environ, **_QUIET},
        capture_output=True,
        text=True,
        timeout=CLI_SECONDS,
        check=False,
        cwd=STATE,
    )
    tables = read_types(done.stdout)
    if done.returncode or not tables.keys() >= set(TABLES):
        raise StackError(f"the Supabase CLI made no types:\n{done.stderr}")
    return tables


def read_types(text: str) -> Tables:
    """The tables of a file of types: for each shape, the columns (optional ones end in `?`) with their types."""
    return {
        table: {shape: _columns(text) for shape, text in zip(SHAPES, texts, strict=True)}
        for table, *texts in _TABLE.findall(text)
    }


def render(tables: Tables) -> str:
    """The file."""
    lines = [
        "// Made by `python -m scripts.gen_types` with the Supabase CLI. For your own project, with your own tables:",
        "// npx supabase@3.1.0 gen types --lang typescript --remote > database.types.ts",
        "",
        "export type Json = string | number | boolean | null | { [key: string]: Json | undefined } | Json[];",
        "",
        "export type Database = {",
        "  public: {",
        "    Tables: {",
    ]
    for name in TABLES:
        lines.append(f"      {name}: {{")
        for shape in SHAPES:
            columns = [f"          {column}: {kind};" for column, kind in tables[name][shape].items()]
            lines += [f"        {shape}: {{", *columns, "        };"]
        lines += ["        Relationships: [];", "      };"]
    nothing = [f"    {name}: {{ [_ in never]: never }};" for name in ("Views", "Functions", "Enums", "CompositeTypes")]
    return "\n".join([*lines, "    };", *nothing, "  };", "};", ""])


def _columns(text: str) -> Columns:
    return {f"{name}{optional}": kind for name, optional, kind in _COLUMN.findall(text)}


if __name__ == "__main__":
    sys.exit(main())
