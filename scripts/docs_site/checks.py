"""Looks at the built site: every link and anchor leads somewhere, and nothing is loaded from another host."""

import posixpath
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote

LOADED = {("script", "src"), ("link", "href"), ("img", "src"), ("iframe", "src"), ("source", "src")}


@dataclass
class Page(HTMLParser):
    """The links of a page, what it loads, and its anchors."""

    links: list[str] = field(default_factory=list)
    loads: list[str] = field(default_factory=list)
    anchors: set[str] = field(default_factory=set)

    def __post_init__(self) -> None:
        super().__init__()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Notes what a tag links to, loads or is called."""
        for name, value in attrs:
            if not value:
                continue
            if name == "id":
                self.anchors.add(value)
            elif (tag, name) in LOADED:
                self.loads.append(value)
            elif (tag, name) == ("a", "href"):
                self.links.append(value)


def problems(site: Path) -> Iterator[str]:
    """One line for each link that leads nowhere, and each thing that another host would have to answer."""
    pages: dict[str, Page] = {}
    for file in sorted(site.rglob("*.html")):
        pages[file.relative_to(site).as_posix()] = parsed = Page()
        parsed.feed(file.read_text(encoding="utf-8"))
    for name, page in pages.items():
        yield from (f"{name} loads {target}" for target in page.loads if re.match(r"(?:[a-z]+:)?//", target))
        for target in [*page.links, *page.loads]:
            if re.match(r"(?:[a-z]+:|//)", target):
                continue
            path, _, anchor = unquote(target).partition("#")
            found = posixpath.normpath(posixpath.join(posixpath.dirname(name), path)) if path else name
            if not (site / found).is_file():
                yield f"{name} links to {target}"
            elif anchor and anchor not in pages[found].anchors:
                yield f"{name} links to {target}, which has no such anchor"
    for sheet in sorted(site.rglob("*.css")):
        for target in re.findall(r"(?:url\(|@import )[\"']?(?:https?:)?//[^)\"';]*", sheet.read_text(encoding="utf-8")):
            yield f"{sheet.relative_to(site)} loads {target}"
