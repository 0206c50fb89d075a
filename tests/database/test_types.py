"""The types that applications get (made by the Supabase CLI with scripts/gen_types.py) against the catalogue.

The CLI itself runs in a slow test: it is 64 MB of npm packages.
"""

import pytest

from scripts.gen_types import SHAPES, TABLES, TARGET, Columns, ask_cli, read_types, render
from tests.database.support import Database

TYPES = {
    **dict.fromkeys(("int2", "int4", "int8", "numeric", "float8"), "number"),
    **dict.fromkeys(("text", "varchar", "uuid", "timestamptz", "timestamp", "date"), "string"),
    "bool": "boolean",
    "jsonb": "Json",
}
COLUMNS = """
  select column_name as name, udt_name as type, is_nullable = 'YES' as nullable,
         is_nullable = 'YES' or column_default is not null as optional, is_generated = 'ALWAYS' as generated
  from information_schema.columns
  where table_schema = 'public' and table_name = %s order by column_name
"""
CALLABLE = """
  select p.oid::regprocedure::text as name, role from pg_proc p, unnest(array['anon', 'authenticated']) role
  where p.pronamespace in ('public'::regnamespace, 'supatoss'::regnamespace)
    and has_function_privilege(role, p.oid, 'execute') and p.prorettype <> 'trigger'::regtype
"""


def catalogue(database: Database, table: str) -> dict[str, Columns]:
    shapes: dict[str, Columns] = {shape: {} for shape in SHAPES}
    for column in database.rows(COLUMNS, table):
        name, kind = column["name"], TYPES[column["type"]]
        if column["nullable"]:
            kind += " | null"
        elif kind == "Json":
            kind = "NonNullable<Json>"
        assert not column["generated"], f"{table}.{name}: the CLI makes such a column `never`, teach this test"
        shapes["Row"][name] = kind
        shapes["Insert"][f"{name}?" if column["optional"] else name] = kind
        shapes["Update"][f"{name}?"] = kind
    return shapes


@pytest.mark.parametrize("table", TABLES)
def test_the_types_of_applications_are_the_tables(database: Database, table: str) -> None:
    """If this fails: python -m scripts.gen_types."""
    assert read_types(TARGET.read_text(encoding="utf-8"))[table] == catalogue(database, table)


def test_no_function_of_ours_is_missing_from_the_types(database: Database) -> None:
    """Applications call none: none of them may."""
    assert database.rows(CALLABLE) == []


def test_the_file_is_as_the_script_writes_it() -> None:
    text = TARGET.read_text(encoding="utf-8")
    assert render(read_types(text)) == text


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_the_cli_says_the_same(database: Database) -> None:
    assert render(ask_cli(database.dsn)) == TARGET.read_text(encoding="utf-8")
