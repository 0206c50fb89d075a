"""The pages of the site: which file each is made of, and where its links lead there.

GitHub shows the same files, so whatever differs between GitHub's Markdown and the site's is changed here.
"""

import os
import re
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path, PurePosixPath

ROOT = Path(__file__).resolve().parents[2]
LANGUAGES = ("en", "ko")
NOT_IN_DOCS = {
    "README.md": "index.md",
    "CHANGELOG.md": "changelog.md",
    "CONTRIBUTING.md": "contributing.md",
    "SECURITY.md": "security-policy.md",
    "LICENSE": "files/license.txt",
    ".env.example": "files/env.example",
    ".github/workflows/ci.yml": "files/ci.yml",
    ".github/workflows/pages.yml": "files/pages.yml",
    ".github/workflows/release.yml": "files/release.yml",
    "supabase/released.json": "files/released.json",
    "service/supatoss/ops/static/icon.svg": "images/icon.svg",
    "scripts/docs_site/site.css": "assets/site.css",
    "scripts/docs_site/vendor/iframe-worker/iframe-worker.js": "assets/iframe-worker.js",
}
ONLY_ENGLISH = "> 이 문서는 영어로만 제공됩니다.\n"
FENCE = re.compile(r"^ *```.*?^ *```", re.DOTALL | re.MULTILINE)
LINK = re.compile(r"(!?)\[((?:`[^`]*`|[^\[\]`])*)\]\(([^)\s]+)\)")
LANGUAGE_LINE = re.compile(r"[ \n]*(?:한국어|English):\s\[[^\]]*\]\([^)]*\)\.?")


class NotOnSite(Exception):
    """A page links to a file or a heading that the site doesn't have."""


def sources() -> dict[str, str]:
    """Every file of the site, by its path in the repository: pages once, whatever their languages."""
    docs = (path for path in (ROOT / "docs").rglob("*") if path.is_file() and not path.name.endswith(".ko.md"))
    return NOT_IN_DOCS | {
        path.relative_to(ROOT).as_posix(): path.relative_to(ROOT / "docs").as_posix() for path in sorted(docs)
    }


def korean(source: str) -> str:
    """The Korean twin of a page, whether or not there is one."""
    return source.removesuffix(".md") + ".ko.md"


def write(folder: Path) -> None:
    """Writes the pages of each language below a folder, beside what they show and link to."""
    shutil.rmtree(folder, ignore_errors=True)
    for language in LANGUAGES:
        for source, target in sources().items():
            file = folder / language / target
            file.parent.mkdir(parents=True, exist_ok=True)
            if source.endswith(".md") or target == "llms.txt":
                file.write_text(page(source, language), encoding="utf-8")
            else:
                shutil.copyfile(ROOT / source, file)
    (folder / "en" / "llms-full.txt").write_text(everything(folder / "en"), encoding="utf-8")


def page(source: str, language: str) -> str:
    """A page as the site needs it; in English, with a note, where there is no Korean one."""
    file = _file(source, language)
    translated = file.name.endswith(".ko.md")
    text = file.read_text(encoding="utf-8")
    if language == "ko" and not translated and source.endswith(".md"):
        first, _, rest = text.partition("\n")
        text = f"{first}\n\n{ONLY_ENGLISH}{rest}"
    text = outside_code(LANGUAGE_LINE, lambda _: "", text)
    text = outside_code(LINK, lambda link: _link(link, source, language, translated), text)
    return "\n".join(_lines(text)) + "\n"


def everything(folder: Path) -> str:
    """All pages that llms.txt names, in its order, as one text."""
    index = (folder / "llms.txt").read_text(encoding="utf-8")
    names = dict.fromkeys(target.partition("#")[0] for _, _, target in LINK.findall(index) if target.endswith(".md"))
    return "\n".join(f"<!-- {name} -->\n\n{(folder / name).read_text(encoding='utf-8')}" for name in names)


def outside_code(pattern: re.Pattern[str], replace: Callable[[re.Match[str]], str], text: str) -> str:
    """A text with all matches replaced that aren't in a block of code."""
    kept = [*FENCE.findall(text), ""]
    return "".join(pattern.sub(replace, part) + code for part, code in zip(FENCE.split(text), kept, strict=True))


def anchor(heading: str) -> str:
    """A heading's anchor, as GitHub makes it."""
    return re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-")


def anchors(text: str) -> list[str]:
    """The anchors of a document's headings in their order."""
    return [anchor(heading) for heading in re.findall(r"^#+ (.*)$", FENCE.sub("", text), re.MULTILINE)]


def _link(link: re.Match[str], source: str, language: str, translated: bool) -> str:
    """A link as it has to stand on the site."""
    image, text, target = link.groups()
    path, _, place = target.partition("#")
    if re.match(r"[a-z]+:", target) or not path:
        return link[0]
    named = os.path.normpath(PurePosixPath(source).parent / path)
    english = named.replace(".ko.md", ".md")
    files = sources()
    if english not in files:
        raise NotOnSite(f"{source} links to {target}, which NOT_IN_DOCS lacks")
    here, there = PurePosixPath(files[source]).parent, files[english]
    has_korean = english.endswith(".md") and (ROOT / korean(english)).exists()
    if translated and has_korean and english == named:  # from Korean to what the English page alone has
        built = there.replace("README.md", "index.md").removesuffix(".md") + ".html"
        up = os.path.relpath(built, PurePosixPath("ko") / here)
        return f'<a href="{up}{"#" * bool(place)}{place}">{text}</a>'
    if there.endswith(".md") and text == path.removeprefix("./"):  # GitHub's readers look for files, the site's don't
        text = title(_file(english, language))
    if language == "ko" and not translated and has_korean and place:
        place = _twin_anchor(english, place)
    return f"{image}[{text}]({os.path.relpath(there, here)}{'#' * bool(place)}{place})"


def _file(source: str, language: str) -> Path:
    """The file that a page is made of."""
    twin = ROOT / korean(source)
    return twin if language == "ko" and twin.exists() else ROOT / source


def title(file: Path) -> str:
    """A document's first heading."""
    return file.read_text(encoding="utf-8").partition("\n")[0].removeprefix("# ")


def _twin_anchor(source: str, place: str) -> str:
    """The anchor of the same heading in the Korean twin."""
    english, twin = (anchors((ROOT / name).read_text(encoding="utf-8")) for name in (source, korean(source)))
    if place not in english:
        raise NotOnSite(f"{source} has no heading #{place}")
    return twin[english.index(place)]


def _lines(text: str) -> Iterator[str]:
    """The lines of a text, with what belongs to a list item indented by four, and pipes in cells unescaped."""
    width = 0
    fenced = False
    for line in text.splitlines():
        if line.lstrip().startswith("```"):
            fenced = not fenced
        if item := re.match(r"(?:\d+\.|-) +", line):
            width = len(item[0])
        elif line and not line.startswith(" "):
            width = 0
        if width and line.startswith(" " * width):
            yield " " * (4 - width) + line
        elif line.startswith("|") and not fenced:
            yield re.sub(r"`[^`]*`", lambda code: code[0].replace(r"\|", "|"), line)
        else:
            yield line
