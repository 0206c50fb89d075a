"""The code of docs/integrate.md is the code of the examples, which other tests run."""

import re
from pathlib import Path
from textwrap import indent

import pytest

ROOT = Path(__file__).parents[2]
LANGUAGES = {"python": "py", "js": "js", "ts": "ts", "tsx": "tsx"}
BLOCKS = re.findall(
    r"```(python|js|tsx?)\n(.*?)```", (ROOT / "docs/integrate.md").read_text(encoding="utf-8"), re.DOTALL
)


def sources(suffix: str) -> list[str]:
    return [file.read_text(encoding="utf-8") for file in (ROOT / "examples").rglob(f"*.{suffix}")]


def occurs(block: str, source: str) -> bool:
    """Whether a block stands in a source, at whatever depth."""
    return any(indent(block, " " * depth) in source for depth in range(0, 17, 2))


@pytest.mark.parametrize(("language", "block"), BLOCKS)
def test_every_snippet_stands_in_an_example(language: str, block: str) -> None:
    assert any(occurs(block, source) for source in sources(LANGUAGES[language])), block


def test_every_language_has_a_snippet() -> None:
    assert {language for language, _ in BLOCKS} == set(LANGUAGES)
