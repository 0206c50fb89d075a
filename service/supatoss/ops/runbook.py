"""The runbook beside the alerts that it is about: the document of the release, in the reader's language."""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from markdown_it import MarkdownIt
from markdown_it.token import Token
from markupsafe import Markup
from starlette.responses import Response

import supatoss
from supatoss.alerts.rules import Rule
from supatoss.ops.i18n import Language
from supatoss.ops.page import PageRequest

_CODE = re.compile(r"(?<!<pre>)<code>[^<]*")
"""Names in the text, which a narrow column may break after an underscore; no block of code."""

FILES = {Language.EN: "runbook.md", Language.KO: "runbook.ko.md"}


@dataclass(frozen=True, slots=True)
class Section:
    """A heading of the document, and the id that links go to."""

    id: str
    title: str


@dataclass(frozen=True, slots=True)
class Runbook:
    """The document: its title, its sections, and the rest as HTML."""

    title: str
    sections: Sequence[Section]
    html: Markup


async def show_runbook(request: PageRequest) -> Response:
    """GET /ops/runbook; an alert's section is at its name: /ops/runbook#double_charge."""
    return request.render("runbook.html", section="alerts", runbook=read_runbook(request.texts.language))


@cache
def read_runbook(language: Language) -> Runbook:
    """The document of this release: inside the wheel, or in the checkout."""
    package = Path(supatoss.__file__).parent
    packaged = package / "runbook" / FILES[language]
    file = packaged if packaged.exists() else package.parents[1] / "docs" / FILES[language]
    return render_runbook(file.read_text(encoding="utf-8"))


def render_runbook(text: str) -> Runbook:
    """A document as it is shown. HTML in it is text; links to other documents, which aren't here, are their words."""
    markdown = MarkdownIt("commonmark", {"html": False}).enable("table")
    tokens = list(_without_twin(markdown.parse(text)))
    title, sections = "", []
    for place, token in enumerate(tokens):
        if token.type != "heading_open":
            continue
        words = re.sub(r"[`*]", "", tokens[place + 1].content)
        if token.tag == "h1":
            title = words
        else:
            token.attrSet("id", _id(words))
            if token.tag == "h2":
                sections.append(Section(_id(words), words))
    body = tokens[3:] if tokens and tokens[0].tag == "h1" else tokens
    for token in body:
        token.children = list(_without_documents(token.children)) if token.children else token.children
    # Markup: the renderer has escaped what is not Markdown.
    html = _CODE.sub(lambda code: code[0].replace("_", "_<wbr>"), markdown.renderer.render(body, markdown.options, {}))
    return Runbook(title, sections, Markup(html))  # noqa: S704


def _id(title: str) -> str:
    """The rule that a heading names, in whichever language; else its words."""
    named = [word for word in re.findall(r"[a-z]+(?:_[a-z]+)*", title) if word in list(Rule)]
    return named[0] if named else re.sub(r"\W+", "-", title.lower()).strip("-")


def _without_twin(tokens: Sequence[Token]) -> Iterator[Token]:
    """The line that leads to the other language is for readers of the files."""
    place = 0
    while place < len(tokens):
        if tokens[place].type == "paragraph_open" and _names_twin(tokens[place + 1]):
            place += 3
            continue
        yield tokens[place]
        place += 1


def _names_twin(inline: Token) -> bool:
    return any(str(child.attrGet("href")) in FILES.values() for child in inline.children or ())


def _without_documents(children: Sequence[Token]) -> Iterator[Token]:
    is_dropped = False
    for child in children:
        if child.type == "link_open":
            is_dropped = not str(child.attrGet("href")).startswith(("#", "https://"))
        if child.type in ("link_open", "link_close") and is_dropped:
            continue
        yield child
