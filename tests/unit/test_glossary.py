"""docs/glossary.md: the words that it rules out stand in no text that people read."""

import ast
import re
from collections.abc import Iterator, Mapping
from functools import cache
from pathlib import Path

import pytest

from supatoss.alerts.texts import MORE, TEXTS, UNKNOWN
from supatoss.ops.texts import en, ko

ROOT = Path(__file__).parents[2]
GLOSSARIES = {"en": ROOT / "docs/glossary.md", "ko": ROOT / "docs/glossary.ko.md"}
DOCUMENTS = [file for file in (*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")) if file not in GLOSSARIES.values()]
MODULES = [
    *(ROOT / "service/supatoss/cli").rglob("*.py"),
    *(
        ROOT / "service/supatoss" / name
        for name in ("causes.py", "errors.py", "alerts/messages.py", "alerts/direct.py")
    ),
]
ALLOWED = {"rejects the promise": "JavaScript's word", "프로미스가 거부": "the same"}
_CODE = re.compile(
    r"^ *```.*?^ *```|`[^`]*`|\]\([^)]*\)|<!--.*?-->|https?://\S+|\{\w+\}|\b[A-Z_]+=\S+", re.DOTALL | re.MULTILINE
)


def ruled_out(language: str) -> list[str]:
    """The words in italics of a glossary's last column."""
    rows = re.findall(r"^\|.*\| ([^|]*) \|$", GLOSSARIES[language].read_text(encoding="utf-8"), re.MULTILINE)
    return [word for row in rows for word in re.findall(r"\*([^*]+)\*", row)]


def pattern(word: str, language: str) -> re.Pattern[str]:
    """A word in its forms: with an ending in English, with whatever follows in Korean."""
    stem = re.escape(word.removesuffix("e")).replace(r"\ ", r"\s+")
    return re.compile(rf"\b{stem}(?:e|e?s|e?d|ing)?\b" if language == "en" else stem, re.IGNORECASE)


def texts() -> Iterator[tuple[str, str]]:
    """Where a text stands, and the text."""
    for file in DOCUMENTS:
        yield str(file.relative_to(ROOT)), file.read_text(encoding="utf-8")
    for file in MODULES:
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Constant) and isinstance(node.value, str) and " " in node.value:
                yield f"{file.relative_to(ROOT)}:{node.lineno}", node.value
    yield from (*page_texts("en", en.TEXTS), *page_texts("ko", ko.TEXTS))
    for rule, text in {**TEXTS, "more": MORE, "unknown": UNKNOWN}.items():
        yield f"alert {rule}", text.english
        yield f"alert {rule}", text.korean


def page_texts(name: str, values: Mapping[str, str]) -> Iterator[tuple[str, str]]:
    """Each by itself: two neighbours don't make a word."""
    return ((f"ops/texts/{name}.py {key}", text) for key, text in values.items())


def plain(text: str) -> str:
    """A text without code, and without what is allowed."""
    text = _CODE.sub(" ", text)
    for phrase in ALLOWED:
        text = text.replace(phrase, "")
    return text


@cache
def plain_texts() -> list[tuple[str, str]]:
    return [(place, plain(text)) for place, text in texts()]


def found(word: re.Pattern[str], text: str) -> list[str]:
    return [" ".join(text[max(0, hit.start() - 40) : hit.end() + 20].split()) for hit in word.finditer(text)]


@pytest.mark.parametrize(
    ("language", "word"), [(language, word) for language in GLOSSARIES for word in ruled_out(language)]
)
def test_a_word_that_is_ruled_out_stands_nowhere(language: str, word: str) -> None:
    looked_for = pattern(word, language)
    hits = [f"{place}: …{hit}…" for place, text in plain_texts() for hit in found(looked_for, text)]
    assert hits == [], f"{GLOSSARIES[language].name} has another word for {word!r}"


@pytest.mark.parametrize(("language", "count"), [("en", 25), ("ko", 25)])
def test_there_are_words_to_look_for(language: str, count: int) -> None:
    assert len(ruled_out(language)) >= count


def test_a_word_is_found_in_its_forms_and_not_in_code() -> None:
    assert found(pattern("rehearse", "en"), plain("it was rehearsed")) != []
    assert found(pattern("rehearse", "en"), plain("`rehearse` and [it](rehearse.md) and rehearse_all")) == []
    assert found(pattern("reject", "en"), plain("rejected_share\n```\nreject\n```\nrejects the promise")) == []
    assert found(pattern("운영자", "ko"), plain("운영자가")) != []


def test_both_glossaries_name_the_same_pairs() -> None:
    english, korean = (
        re.findall(r"^\| ([^|]+?) \| ([^|]+?) \|", file.read_text(encoding="utf-8"), re.MULTILINE)
        for file in GLOSSARIES.values()
    )
    pairs = [(word.replace(" (MID)", ""), other) for word, other in english if word != "word"]
    assert pairs == [(other, word) for word, other in korean if word != "용어"]
