"""What the documents promise is there, in both languages."""

import re
from pathlib import Path

import pytest

from service.settings import Settings

ROOT = Path(__file__).parents[2]
DOCUMENTS = ("README.md", "README.ko.md", ".env.example")


@pytest.mark.parametrize("document", DOCUMENTS)
@pytest.mark.parametrize("setting", sorted(Settings.model_fields))
def test_every_setting_is_documented(document: str, setting: str) -> None:
    assert re.search(rf"\b{setting.upper()}\b", (ROOT / document).read_text(encoding="utf-8"))


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
