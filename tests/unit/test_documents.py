"""What the documents promise is there, in both languages."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from typer.main import get_command

from supatoss.cli import app
from supatoss.settings import Settings

ROOT = Path(__file__).parents[2]
DOCUMENTS = ("docs/settings.md", "docs/settings.ko.md", ".env.example")


@pytest.mark.parametrize("document", DOCUMENTS)
@pytest.mark.parametrize("setting", sorted(Settings.model_fields))
def test_every_setting_is_documented(document: str, setting: str) -> None:
    assert re.search(rf"\b{setting.upper()}\b", (ROOT / document).read_text(encoding="utf-8"))


def _commands(command: Any, name: str) -> Iterator[tuple[str, list[str]]]:
    """Every command with its options, groups' own included."""
    yield name, [option for parameter in command.params for option in parameter.opts if option.startswith("--")]
    for child in getattr(command, "commands", {}).values():
        yield from _commands(child, f"{name} {child.name}")


@pytest.mark.parametrize("document", ["docs/cli.md", "docs/cli.ko.md"])
@pytest.mark.parametrize(("command", "options"), list(_commands(get_command(app), "supatoss")))
def test_every_command_is_documented_with_its_options(document: str, command: str, options: list[str]) -> None:
    text = (ROOT / document).read_text(encoding="utf-8")
    if command == "supatoss":
        section = text.split("\n## ")[0]
    else:
        assert f"\n## `{command}" in text, f"{document} has no section ## `{command} …`"
        section = re.split(rf"\n## `{command}\b", text)[1].split("\n## `")[0]
    missing = [option for option in options if not re.search(rf"{option}(?![\w-])", section) and option != "--help"]
    assert not missing


@pytest.mark.parametrize("document", ["README.md", "README.ko.md"])
def test_a_readme_is_read_in_one_sitting(document: str) -> None:
    assert len((ROOT / document).read_text(encoding="utf-8").splitlines()) <= 130


def test_both_readmes_have_the_same_commands() -> None:
    commands = [
        [
            line.split("#")[0].strip()
            for block in re.findall(r"```sh\n(.*?)```", text, re.DOTALL)
            for line in block.splitlines()
        ]
        for text in ((ROOT / name).read_text(encoding="utf-8") for name in ("README.md", "README.ko.md"))
    ]
    assert commands[0] == commands[1] != []


@pytest.mark.parametrize("document", ["docs/sql-editor.md", "docs/sql-editor.ko.md"])
def test_every_view_has_its_query_in_the_cookbook(document: str) -> None:
    views = {
        name
        for file in (ROOT / "supabase/migrations").glob("*.sql")
        for name in re.findall(r"create view public\.(\w+)", file.read_text(encoding="utf-8"))
    }
    queries = " ".join(re.findall(r"```sql\n(.*?)```", (ROOT / document).read_text(encoding="utf-8"), re.DOTALL))
    assert views
    assert [view for view in views if not re.search(rf"\bfrom {view}\b", queries)] == []
