"""docs/security.md: its numbers are the constants, and the tests that it names are there."""

import re
from importlib import import_module
from pathlib import Path

import pytest

from supatoss.settings import Settings

ROOT = Path(__file__).parents[2]
DOCUMENTS = ("docs/security.md", "docs/security.ko.md")
UNITS = {"": 1, "KiB": 1024, "MiB": 1024**2, "s": 1, "min": 60, "h": 3600}
_ROW = re.compile(r"^\|[^|]+\| ([0-9,.]+) ?(\w*) \| `([\w.]+)\.(\w+)` \|$", re.MULTILINE)
_TEST = re.compile(r"`(tests/[\w/]+(?:\.py)?)(?:::(\w+))?`")


def rows(document: str) -> list[tuple[str, str, str, str]]:
    return _ROW.findall((ROOT / document).read_text(encoding="utf-8"))


@pytest.mark.parametrize("document", DOCUMENTS)
def test_the_limits_are_the_constants(document: str) -> None:
    found = rows(document)
    assert len(found) > 20
    for number, unit, module, name in found:
        constant = getattr(import_module(f"supatoss.{module}"), name)
        assert float(number.replace(",", "")) * UNITS[unit] == constant, name


def test_both_languages_have_the_same_limits() -> None:
    assert rows(DOCUMENTS[0]) == rows(DOCUMENTS[1])


@pytest.mark.parametrize("document", DOCUMENTS)
@pytest.mark.parametrize(
    ("setting", "text"),
    [
        ("max_body_bytes", "256 KiB"),
        ("max_connections", "3,000"),
        ("signature_max_age_hours", "102"),
        ("unsigned_lookups_per_minute", "300"),
    ],
)
def test_the_settings_have_these_defaults(document: str, setting: str, text: str) -> None:
    number, _, unit = text.partition(" ")
    assert Settings.model_fields[setting].default == int(number.replace(",", "")) * UNITS[unit]
    assert f"`{setting.upper()}` ({text}" in (ROOT / document).read_text(encoding="utf-8")


@pytest.mark.parametrize("document", DOCUMENTS)
def test_an_order_takes_so_many_events_of_unsigned_deliveries(document: str) -> None:
    sql = (ROOT / "supabase/migrations/20261126000800_recording.sql").read_text(encoding="utf-8")
    (limit,) = re.findall(r"proof = 'toss_api' limit (\d+)\)", sql)
    assert re.search(rf"\b{limit}\b", (ROOT / document).read_text(encoding="utf-8"))


@pytest.mark.parametrize("document", DOCUMENTS)
def test_the_tests_that_hold_it_are_there(document: str) -> None:
    found = _TEST.findall((ROOT / document).read_text(encoding="utf-8"))
    assert found
    for path, name in found:
        assert (ROOT / path).exists(), path
        assert not name or f"def {name}(" in (ROOT / path).read_text(encoding="utf-8"), f"{path}::{name}"
