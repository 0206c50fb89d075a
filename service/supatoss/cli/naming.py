"""Our tables in a schema of their own, or under other names: the migrations' text, rewritten.

The migrations always write `public.payments`, so the text can be replaced. Functions stay in `public`, where the Data
API finds them; the service calls nothing else.
"""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from supatoss.errors import NotAllowed

PUBLIC = "public"
MAX_NAME_BYTES = 63
"""PostgreSQL cuts longer names off, and two could become one."""

_RELATION = re.compile(
    r"^create (?:or replace )?(?:materialized )?(?:table|view) (?:if not exists )?public\.(\w+)", re.MULTILINE
)
_ENDINGS = "pkey|key|idx|check|fkey|excl|seq"
"""What the names of our indexes and constraints end with; they begin with the table's name. A test holds it."""

_NAME = re.compile(r"[a-z_][a-z0-9_]*")
_TAKEN_SCHEMAS = """
    auth cron extensions graphql graphql_public information_schema net pgbouncer pgmq pgsodium realtime storage
    supabase_functions supabase_migrations supatoss vault
"""
_RESERVED_WORDS = """
    all analyse analyze and any array as asc asymmetric authorization binary both case cast check collate collation
    column concurrently constraint create cross current_catalog current_date current_role current_schema
    current_time current_timestamp current_user default deferrable desc distinct do else end except false fetch for
    foreign freeze from full grant group having ilike in initially inner intersect into is isnull join lateral
    leading left like limit localtime localtimestamp natural not notnull null offset on only or order outer overlaps
    placing primary references returning right select session_user similar some symmetric system_user table
    tablesample then to trailing true union unique user using variadic verbose when where window with
"""
"""Names that would need quotes everywhere (PostgreSQL's manual, appendix C)."""


def relations_of(texts: Iterable[str]) -> frozenset[str]:
    """Our tables and views in `public`, read from the migrations that create them."""
    return frozenset(name for text in texts for name in _RELATION.findall(text))


@dataclass(frozen=True)
class Naming:
    """Where our tables are: in which schema, and which have another name there."""

    schema: str = PUBLIC
    tables: Mapping[str, str] = field(default_factory=dict)

    @property
    def is_default(self) -> bool:
        """Whether everything is where the migrations say."""
        return self.schema == PUBLIC and not self.tables

    def __str__(self) -> str:
        """The options that ask for it."""
        return " ".join([f"--schema {self.schema}", *(f"--table {old}={new}" for old, new in self.tables.items())])

    def rename(self, text: str, relations: frozenset[str]) -> str:
        """A migration's text with these names. NotAllowed if a name becomes too long."""
        if self.is_default:
            return text
        names = "|".join(sorted(relations, key=len, reverse=True))
        pattern = rf"(?<![\w.\"])(public\.)?({names})((?:_\w+)?_(?:{_ENDINGS}))?(?!\w)"
        return re.sub(pattern, self._renamed, text)

    def _renamed(self, found: re.Match[str]) -> str:
        schema, table, ending = found.groups()
        if not schema and not ending:
            return found[0]  # a word, or an alias
        name = self.tables.get(table, table) + (ending or "")
        if len(name) > MAX_NAME_BYTES:
            raise NotAllowed(f"{name} is longer than the {MAX_NAME_BYTES} letters of a PostgreSQL name")
        return f"{self.schema}.{name}" if schema else name

    def setup(self) -> str:
        """SQL that the first migration ends with."""
        if self.schema == PUBLIC:
            return ""
        return (
            "\n-- Our tables are kept out of public, and so out of the Data API.\n"
            f"create schema if not exists {self.schema};\n"
            f"grant usage on schema {self.schema} to service_role;\n"
        )


def read_naming(schema: str | None, tables: Iterable[str], relations: frozenset[str]) -> Naming | None:
    """The options as given, `--table` as OLD=NEW; None if none is given. Raises NotAllowed."""
    pairs = [text.partition("=") for text in tables]
    if schema is None and not pairs:
        return None
    if schema is not None:
        _check_name("--schema", schema)
        if schema in _TAKEN_SCHEMAS.split() or schema.startswith("pg_"):
            raise NotAllowed(f"--schema {schema}: this schema belongs to Supabase, PostgreSQL or supatoss")
    for old, _, new in pairs:
        if old not in relations:
            raise NotAllowed(f"--table {old[:80]}: write OLD=NEW; supatoss has {', '.join(sorted(relations))}")
        _check_name("--table", new)
    renamed = {old: new for old, _, new in pairs}
    names = [renamed.get(name, name) for name in relations]
    if len(renamed) < len(pairs) or len(set(names)) < len(names):
        raise NotAllowed("--table: every table needs one name of its own")
    changed = {old: new for old, new in sorted(renamed.items()) if old != new}
    return Naming(PUBLIC if schema is None else schema, changed)


def _check_name(option: str, name: str) -> None:
    if not _NAME.fullmatch(name) or len(name) > MAX_NAME_BYTES or name in _RESERVED_WORDS.split():
        raise NotAllowed(
            f"{option} {name[:80]!r}: a name has lower-case letters, digits and _, and isn't a reserved word of SQL"
        )
