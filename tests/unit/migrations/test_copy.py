"""`supatoss migrations copy`: which files it writes, and what it reports instead."""

import datetime as dt
import json
import shutil
from pathlib import Path

import pytest

from tests.unit.migrations.conftest import NEXT, RELEASE, copy, files, snapshot, the_copy, version


def test_the_copies_come_after_the_shops_own_and_not_after_now(shop: Path) -> None:
    before = dt.datetime.now(dt.UTC).replace(microsecond=0)
    assert copy(shop).exit_code == 0
    own, tables, rows = files(shop)
    assert own == "20260101000000_shop.sql"
    assert (tables[14:], rows[14:]) == ("_supatoss_tables.sql", "_supatoss_rows.sql")
    assert before - dt.timedelta(seconds=1) <= version(tables) < version(rows) <= dt.datetime.now(dt.UTC)
    assert the_copy(shop, "rows").read_text().endswith(RELEASE["20260901000100_rows.sql"])


@pytest.mark.parametrize(
    ("newest", "first", "second"),
    [
        ("29990101000000_shop.sql", "29990101000001", "29990101000002"),
        ("29991231235959_shop.sql", "30000101000000", "30000101000001"),
        ("29990101_short.sql", "29990101000001", "29990101000002"),
        ("29990101000099_no_time.sql", "29990101000100", "29990101000101"),
        ("299901010000005_long.sql", "29990101000001", "29990101000002"),
    ],
)
def test_the_copies_come_after_migrations_of_the_future(shop: Path, newest: str, first: str, second: str) -> None:
    (shop / "supabase/migrations" / newest).touch()
    (shop / "supabase/migrations/notes.sql").touch()  # the CLI skips it
    result = copy(shop)
    assert result.exit_code == 0
    assert "dated in the future" in result.output
    assert the_copy(shop, "tables").name[:14] == first
    assert the_copy(shop, "rows").name[:14] == second


def test_nothing_can_follow_the_last_version_there_is(shop: Path) -> None:
    (shop / "supabase/migrations/99999999999999_last.sql").touch()
    result = copy(shop)
    assert (result.exit_code, "no version can follow" in result.output) == (2, True)
    assert len(files(shop)) == 2


def test_a_repository_without_migrations_keeps_our_names(shop: Path) -> None:
    """They are those of a database to which our checkout was pushed."""
    shutil.rmtree(shop / "supabase/migrations")
    assert copy(shop).exit_code == 0
    assert files(shop) == list(RELEASE)


def test_the_second_run_does_nothing(shop: Path) -> None:
    copy(shop)
    before = snapshot(shop)
    result = copy(shop)
    assert (result.exit_code, "Nothing to do" in result.output) == (0, True)
    assert snapshot(shop) == before


@pytest.mark.parametrize("keeps_names", [True, False])
def test_the_next_release_brings_only_what_is_new(shop: Path, release: dict[str, str], keeps_names: bool) -> None:
    if keeps_names:
        shutil.rmtree(shop / "supabase/migrations")
    copy(shop)
    before = snapshot(shop)
    if not keeps_names:
        (shop / "supabase/migrations/29990101000000_later.sql").touch()
    release.update(NEXT)
    check = copy(shop, "--check")
    assert (check.exit_code, "missing  20261001000000_more.sql" in check.output) == (1, True)
    result = copy(shop)
    assert (result.exit_code, result.output.count("copied"), "1 new in" in result.output) == (0, 1, True)
    assert files(shop)[-1] == ("20261001000000_more.sql" if keeps_names else "29990101000001_supatoss_more.sql")
    assert {name: text for name, text in snapshot(shop).items() if name in before} == before
    assert copy(shop, "--check").exit_code == 0


def test_a_check_writes_nothing(shop: Path) -> None:
    shutil.rmtree(shop / "supabase/migrations")
    result = copy(shop, "--check")
    assert (result.exit_code, result.output.count("missing  ")) == (1, 2)
    assert not (shop / "supabase/migrations").exists()


def test_a_file_that_was_changed_by_hand_is_left_and_reported(shop: Path, release: dict[str, str]) -> None:
    copy(shop)
    file = the_copy(shop, "rows")
    file.write_text(file.read_text() + "create index by_hand on public.payments (id);\n")
    before = file.read_text()
    release.update(NEXT)
    result = copy(shop)
    assert result.exit_code == 1
    assert f"differs  {file.name}: changed by hand" in result.output
    assert file.read_text() == before
    assert the_copy(shop, "more").exists()
    assert copy(shop, "--check").exit_code == 1


def test_a_file_that_was_renamed_or_fetched_or_checked_out_on_windows_is_known(shop: Path) -> None:
    copy(shop)
    file = the_copy(shop, "rows")
    text = (
        file.read_text().replace("-- Rows.\n\n", "-- Rows.\n").rstrip() + ";\n"
    )  # as `supabase migration fetch` writes
    file.unlink()
    (shop / "supabase/migrations/20300101000000_renamed.sql").write_bytes(text.replace("\n", "\r\n").encode())
    assert copy(shop, "--check").exit_code == 0


def test_what_was_pushed_from_our_checkout_is_known_by_its_names(shop: Path, release: dict[str, str]) -> None:
    for name, text in RELEASE.items():
        (shop / "supabase/migrations" / name).write_text(text)
    assert copy(shop, "--check").exit_code == 0
    release.update(NEXT)
    assert copy(shop).exit_code == 0
    assert the_copy(shop, "more").exists()


def test_another_text_in_this_release_stops_the_copy(shop: Path, release: dict[str, str]) -> None:
    copy(shop)
    before = snapshot(shop)
    release["20260901000100_rows.sql"] += "-- rewritten\n"
    release.update(NEXT)
    result = copy(shop)
    assert result.exit_code == 1
    assert "this release has another text" in result.output
    assert "Nothing was copied" in result.output
    assert snapshot(shop) == before


def test_a_copy_that_is_gone_is_not_made_again(shop: Path) -> None:
    copy(shop)
    the_copy(shop, "tables").unlink()
    result = copy(shop)
    assert (result.exit_code, "restore it from version control" in result.output) == (1, True)
    assert len(files(shop)) == 2


def test_two_developers_who_both_copied_are_told(shop: Path) -> None:
    copy(shop)
    file = the_copy(shop, "rows")
    shutil.copy(file, file.with_name("20300101000000_supatoss_rows.sql"))
    result = copy(shop, "--check")
    assert (result.exit_code, "delete the copy that isn't applied" in result.output) == (1, True)


def test_copies_of_a_later_release_are_noted(shop: Path, release: dict[str, str]) -> None:
    release.update(NEXT)
    copy(shop)
    del release["20261001000000_more.sql"]
    result = copy(shop)
    assert (result.exit_code, "from a later release" in result.output) == (0, True)


def test_the_options_are_remembered(shop: Path, release: dict[str, str]) -> None:
    options = ("--schema", "toss", "--table", "payments=toss_payments")
    assert copy(shop, *options).exit_code == 0
    assert "create schema if not exists toss;" in the_copy(shop, "tables").read_text()
    release.update(NEXT)
    assert copy(shop).exit_code == 0
    assert "alter table toss.toss_payments add column" in the_copy(shop, "more").read_text()
    assert "create schema" not in the_copy(shop, "more").read_text()
    for other in (("--schema", "other"), ("--schema", "toss"), ("--schema", "public"), ("--table", "payments=p")):
        result = copy(shop, *other)
        assert (result.exit_code, "can't be changed to" in result.output) == (2, True)
    assert copy(shop, *options).exit_code == 0


def test_copies_with_several_names_are_refused(shop: Path) -> None:
    copy(shop)
    file = the_copy(shop, "rows")
    file.write_text(file.read_text().replace('"schema": "public"', '"schema": "toss"'))
    assert (copy(shop).exit_code, "has --schema toss" in copy(shop).output) == (2, True)


def test_a_damaged_mark_is_refused(shop: Path) -> None:
    copy(shop)
    file = the_copy(shop, "rows")
    file.write_text(file.read_text().replace('"sha256"', '"sha"'))
    assert (copy(shop).exit_code, "is damaged" in copy(shop).output) == (2, True)
    file.write_bytes(file.read_bytes() + b"\xff")
    assert (copy(shop).exit_code, "not UTF-8" in copy(shop).output) == (2, True)


def test_json(shop: Path, release: dict[str, str]) -> None:
    missing = json.loads(copy(shop, "--check", "--json").output)
    assert missing == {
        "folder": str(shop / "supabase/migrations"),
        "schema": "public",
        "tables": {},
        "copied": [],
        "missing": list(RELEASE),
        "problems": [],
        "newer": [],
    }
    copied = json.loads(copy(shop, "--json").output)
    assert (copied["copied"], copied["missing"]) == (files(shop)[1:], [])
    release["20260901000100_rows.sql"] = "select 1;\n"
    (problem,) = json.loads(copy(shop, "--json").output)["problems"]
    assert problem == {"file": the_copy(shop, "rows").name, "problem": "other_text"}
