"""Links of the documents lead somewhere, their commands exist, and both languages say the same."""

import re
import shlex
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest
from typer.main import get_command

from scripts.docs_site.pages import anchors
from supatoss.cli import app

ROOT = Path(__file__).parents[2]
DOCUMENTS = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")])
TRANSLATED = [document for document in DOCUMENTS if document.with_suffix(".ko.md").exists()]
FENCE = re.compile(r"^ *```.*?^ *```", re.DOTALL | re.MULTILINE)


def name(document: Path) -> str:
    return str(document.relative_to(ROOT))


def headings(document: Path) -> list[str]:
    """The anchors of a document's headings, as GitHub makes them."""
    return anchors(document.read_text(encoding="utf-8"))


def english(document: Path) -> Path:
    """The English one of two languages."""
    return document.with_name(document.name.replace(".ko.", "."))


@pytest.mark.parametrize("document", DOCUMENTS, ids=name)
def test_every_link_leads_somewhere(document: Path) -> None:
    text = FENCE.sub("", document.read_text(encoding="utf-8"))
    for target in re.findall(r"\]\(([^)\s]+)\)", text):
        if re.match(r"[a-z]+:", target):
            continue
        path, _, anchor = target.partition("#")
        found = (document.parent / path).resolve() if path else document
        assert found.exists(), target
        assert not anchor or anchor in headings(found), target


@pytest.mark.parametrize("document", DOCUMENTS, ids=name)
def test_every_path_that_is_named_exists(document: Path) -> None:
    text = FENCE.sub("", document.read_text(encoding="utf-8"))
    named = re.findall(r"`((?:benchmarks|docs|scripts|service|supabase|tests)/[\w./-]*)`", text)
    assert [path for path in named if not (ROOT / path).exists()] == []


def commands() -> Iterator[tuple[str, str]]:
    for document in DOCUMENTS:
        for block in FENCE.findall(document.read_text(encoding="utf-8")):
            for line in block.splitlines():
                if line.strip().startswith("supatoss "):
                    yield name(document), line.strip()


@pytest.mark.parametrize(("document", "line"), list(commands()))
def test_every_command_exists_with_its_options(document: str, line: str) -> None:
    words = shlex.split(line, comments=True)[1:]
    words = words[: next((index for index, word in enumerate(words) if word in (">", "|", "&&")), len(words))]
    command = get_command(app)
    while words and words[0] in getattr(command, "commands", {}):
        command = command.commands[words.pop(0)]  # type: ignore[attr-defined]
    assert getattr(command, "invoke_without_command", not hasattr(command, "commands")), f"{document}: {line}"
    known = {option for parameter in command.params for option in (*parameter.opts, *parameter.secondary_opts)}
    assert {word.split("=")[0] for word in words if word.startswith("--")} <= known | {"--help"}


@pytest.mark.parametrize("document", TRANSLATED, ids=name)
def test_both_languages_have_the_same_sections_and_the_same_code(document: Path) -> None:
    texts = [path.read_text(encoding="utf-8") for path in (document, document.with_suffix(".ko.md"))]
    code, sections = (
        [FENCE.findall(text) for text in texts],
        [re.findall(r"^#+", FENCE.sub("", text), re.MULTILINE) for text in texts],
    )
    assert sections[0] == sections[1]
    assert len(code[0]) == len(code[1])
    if document.name != "README.md":
        without_comments = [[re.sub(r" +#.*", "", block) for block in blocks] for blocks in code]
        assert without_comments[0] == without_comments[1]


def links(document: Path) -> Counter[str]:
    """What a document links to, whatever its language: the place of a heading instead of its anchor."""
    found: Counter[str] = Counter()
    for target in re.findall(r"\]\(([^)\s]+)\)", FENCE.sub("", document.read_text(encoding="utf-8"))):
        path, _, anchor = target.partition("#")
        if re.match(r"[a-z]+:", target):
            found[target] += 1
            continue
        file = (document.parent / path).resolve() if path else document
        if path and english(file) == english(document):  # to the other language
            continue
        place = f"#{headings(file).index(anchor)}" if anchor else ""
        found[name(english(file)) + place] += 1
    return found


@pytest.mark.parametrize("document", TRANSLATED, ids=name)
def test_both_languages_link_to_the_same_places(document: Path) -> None:
    assert links(document) == links(document.with_suffix(".ko.md"))


@pytest.mark.parametrize("document", TRANSLATED, ids=name)
def test_a_korean_page_links_to_korean_pages(document: Path) -> None:
    text = FENCE.sub("", document.with_suffix(".ko.md").read_text(encoding="utf-8"))
    for target in re.findall(r"\]\(([^)\s#:]+\.md)", text):
        found = (document.parent / target).resolve()
        assert found == document or not found.with_suffix(".ko.md").exists(), target
