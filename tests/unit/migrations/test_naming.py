"""Our tables under other names: what `migrations copy --schema` and `--table` rely on in every migration."""

import re

import pytest

from supatoss.cli.copies import read_release
from supatoss.cli.naming import Naming, read_naming, relations_of
from supatoss.errors import NotAllowed

RELEASE = read_release()
RELATIONS = relations_of(RELEASE.values())
NAMES = "|".join(sorted(RELATIONS))
MOVED = Naming("toss", {name: f"moved_{name}" for name in RELATIONS})
BEGINS_WITH_A_TABLE = re.compile(rf"(?:{NAMES})_\w+")
INDEX = re.compile(r"create (?:unique )?index (?:concurrently )?(?:if not exists )?(\w+)|\bconstraint (\w+)")
FUNCTION = re.compile(r"create (?:or replace )?function public\.(\w+)")

# What a text replacement can't reach, and how it is written instead.
BREACHES = {
    "a schema by name: write 'public.payments'::regclass": r"(?:rel|t)?nspname = 'public'(?!.*\n?.*\n?.*proname)",
    "a table by name: write 'public.payments'::regclass": (
        rf"(?:relname|table_name|tablename)\b[^;\n]*'(?:{NAMES})'|array\[[^\]]*'(?:{NAMES})'"
    ),
    "the schema apart from the table": r"'public'\s*,|,\s*'public'|public\.(?![a-z_])|\"public\"",
    "the table without its schema": rf"\b(?:from|join|update|into|table|on|only|truncate|references)\s+(?:{NAMES})\b",
    "a column by its table: give the table an alias": rf"(?<![\w.])(?:{NAMES})\.\w",
}


RAISED = re.compile(r"raise \w+\s+'(?:[^']|'')*'(?:\s*'(?:[^']|'')*')*")


def code_of(text: str) -> str:
    """A migration without its comments and messages, which are for people."""
    return RAISED.sub("raise", re.sub(r"--.*", "", text))


@pytest.mark.parametrize("breach", BREACHES)
@pytest.mark.parametrize("name", RELEASE)
def test_every_migration_writes_tables_so_that_they_can_be_replaced(name: str, breach: str) -> None:
    assert re.findall(BREACHES[breach], code_of(RELEASE[name])) == []


@pytest.mark.parametrize(
    ("breach", "statement"),
    list(
        zip(
            BREACHES,
            [
                "where n.nspname = 'public' and c.relname = any (v_tables)",
                "where c.relname = 'payments'",
                "to_regclass('public.' || v_table)",
                "select 1 from payments",
                "update public.payments set amount = payments.amount",
            ],
            strict=True,
        )
    ),
)
def test_a_breach_is_seen(breach: str, statement: str) -> None:
    assert re.search(BREACHES[breach], statement)


@pytest.mark.parametrize("name", RELEASE)
def test_nothing_of_ours_stays_in_public_but_functions(name: str) -> None:
    functions = {function for text in RELEASE.values() for function in FUNCTION.findall(text)}
    left = set(re.findall(r"\bpublic\.(\w+)", code_of(MOVED.rename(RELEASE[name], RELATIONS))))
    assert {other for other in left - functions if not other.startswith("on_")} == set()  # hooks are merchants' own


@pytest.mark.parametrize("name", RELEASE)
def test_indexes_and_constraints_follow_their_table(name: str) -> None:
    declared = {first or second for first, second in INDEX.findall(code_of(RELEASE[name]))}
    ours = {index for index in declared if BEGINS_WITH_A_TABLE.fullmatch(index)}
    moved = code_of(MOVED.rename(RELEASE[name], RELATIONS))
    assert {index for index in ours if re.search(rf"(?<!\w){index}\b", moved)} == set()


def test_words_and_functions_are_left_alone() -> None:
    text = (
        "create table if not exists public.settlements (id int constraint settlements_id_check check (id > 0));\n"
        "create index settlements_id_idx on public.settlements (id); drop index public.settlements_id_idx;\n"
        "select 'settlements', s.settlements, supatoss.project_settlements(), public.settlements_v1() from x s;\n"
        "comment on table public.settlements is 'public.settlements: payments are in public.payments';\n"
    )
    assert Naming("toss", {"settlements": "payouts"}).rename(text, frozenset({"settlements", "payments"})) == (
        "create table if not exists toss.payouts (id int constraint payouts_id_check check (id > 0));\n"
        "create index payouts_id_idx on toss.payouts (id); drop index toss.payouts_id_idx;\n"
        "select 'settlements', s.settlements, supatoss.project_settlements(), public.settlements_v1() from x s;\n"
        "comment on table toss.payouts is 'toss.payouts: payments are in toss.payments';\n"
    )


def test_without_options_the_text_is_the_same() -> None:
    assert all(Naming().rename(text, RELATIONS) is text for text in RELEASE.values())
    assert Naming().setup() == ""


@pytest.mark.parametrize(
    ("schema", "tables", "said"),
    [
        ("Toss", [], "lower-case letters"),
        ("order", [], "reserved word"),
        ("toss; drop schema public", [], "lower-case letters"),
        ("a" * 64, [], "lower-case letters"),
        ("auth", [], "belongs to Supabase"),
        ("pg_toss", [], "belongs to Supabase"),
        ("supatoss", [], "belongs to Supabase"),
        (None, ["payments"], "lower-case letters"),
        (None, ["orders=toss_orders"], "write OLD=NEW"),
        (None, ["payments=subscriptions"], "a name of its own"),
        (None, ["payments=a", "payments=b"], "a name of its own"),
        (None, ["payments=a", "subscriptions=a"], "a name of its own"),
    ],
)
def test_names_that_cannot_work_are_refused(schema: str | None, tables: list[str], said: str) -> None:
    with pytest.raises(NotAllowed, match=said.replace("a name of its own", "one name of its own")):
        read_naming(schema, tables, RELATIONS)


def test_names_that_become_too_long_are_refused() -> None:
    naming = read_naming(None, [f"webhook_events={'w' * 60}"], RELATIONS)
    assert naming
    with pytest.raises(NotAllowed, match="longer than the 63 letters"):
        [naming.rename(text, RELATIONS) for text in RELEASE.values()]


def test_what_is_not_asked_for_is_the_default() -> None:
    assert read_naming(None, [], RELATIONS) is None
    assert read_naming("public", ["payments=payments"], RELATIONS) == Naming()
    assert read_naming("toss", [], RELATIONS) == Naming("toss")
