"""The site of `make docs`: its pages, without MkDocs, and the check of what MkDocs built."""

import posixpath
import re
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import yaml  # type: ignore[import-untyped]

from scripts.docs_site import checks, hooks, pages

ROOT = Path(__file__).parents[2]


def settings(file: str) -> dict[str, Any]:
    return dict(yaml.safe_load((ROOT / file).read_text(encoding="utf-8")))


def nav(entries: list[Any]) -> list[str]:
    """The pages of a menu in their order."""
    found: list[str] = []
    for entry in entries:
        (page,) = entry.values() if isinstance(entry, dict) else (entry,)
        found += nav(page) if isinstance(page, list) else [page]
    return found


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("site") / "pages"
    pages.write(folder)
    return folder


@pytest.mark.parametrize("language", pages.LANGUAGES)
def test_every_link_of_a_page_leads_to_a_page_of_its_language(written: Path, language: str) -> None:
    files = [*(written / language).rglob("*.md"), written / language / "llms.txt"]
    assert len(files) > 30
    for file in files:
        text = pages.FENCE.sub("", file.read_text(encoding="utf-8"))
        for _, _, target in pages.LINK.findall(text):
            if re.match(r"[a-z]+:", target):
                continue
            path, _, anchor = target.partition("#")
            found = (file.parent / path).resolve() if path else file
            assert found.is_file(), f"{file.name}: {target}"
            assert written / language in found.parents
            assert not anchor or anchor in pages.anchors(found.read_text(encoding="utf-8")), f"{file.name}: {target}"


def test_both_menus_have_every_page(written: Path) -> None:
    english, korean = (nav(settings(file)["nav"]) for file in ("mkdocs.yml", "mkdocs.ko.yml"))
    assert english == korean
    assert len(set(english)) == len(english)
    assert set(english) == {str(file.relative_to(written / "en")) for file in (written / "en").rglob("*.md")}


def test_nothing_is_loaded_from_other_hosts() -> None:
    theme = settings("mkdocs.yml")["theme"]
    assert theme["font"] is False
    assert settings("mkdocs.yml")["extra"]["polyfills"] == ["assets/iframe-worker.js"]


def test_a_page_without_a_korean_twin_says_so_in_korean(written: Path) -> None:
    assert pages.ONLY_ENGLISH in (written / "ko/architecture.md").read_text(encoding="utf-8")
    assert pages.ONLY_ENGLISH not in (written / "ko/webhooks.md").read_text(encoding="utf-8")


def test_the_other_language_is_in_the_menu_and_not_on_the_page(written: Path) -> None:
    for language, words in (("en", "한국어: ["), ("ko", "English: [")):
        assert [file for file in (written / language).rglob("*.md") if words in file.read_text(encoding="utf-8")] == []


def test_a_link_to_a_file_that_the_site_lacks_is_an_error(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "docs").mkdir()
    (tmp_path / "docs/one.md").write_text("# One\n\n[code](../scripts/dev.py)\n")
    monkeypatch.setattr(pages, "ROOT", tmp_path)
    with pytest.raises(pages.NotOnSite, match=r"docs/one.md links to ../scripts/dev.py, which NOT_IN_DOCS lacks"):
        pages.page("docs/one.md", "en")


def test_what_the_site_reads_otherwise_than_github_is_changed(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "docs").mkdir()
    (tmp_path / "docs/two.md").write_text("# The second\n\n## A part\n")
    (tmp_path / "docs/two.ko.md").write_text("# 둘째\n\n## 부분\n")
    (tmp_path / "docs/one.md").write_text(
        "# One\n\n한국어: [one.ko.md](one.ko.md)\n\n1. First:\n\n   ```sh\n   ls  # [x](y)\n   ```\n\n"
        "- Second\n  line\n\n"
        "| `a \\| b` |\n\n[two.md](two.md) and [part](two.md#a-part)\n"
    )
    monkeypatch.setattr(pages, "ROOT", tmp_path)
    assert pages.page("docs/one.md", "en") == (
        "# One\n\n1. First:\n\n    ```sh\n    ls  # [x](y)\n    ```\n\n- Second\n    line\n\n"
        "| `a | b` |\n\n[The second](two.md) and [part](two.md#a-part)\n"
    )
    assert pages.page("docs/one.md", "ko").endswith("[둘째](two.md) and [part](two.md#부분)\n")


def test_korean_text_can_link_to_what_the_english_page_alone_has(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "docs/sub").mkdir(parents=True)
    for name in ("one.md", "one.ko.md"):
        (tmp_path / "docs/sub" / name).write_text("# One\n\n[table](one.md#table)\n")
    monkeypatch.setattr(pages, "ROOT", tmp_path)
    assert '<a href="../../sub/one.html#table">table</a>' in pages.page("docs/sub/one.md", "ko")


def test_the_whole_text_for_models_has_the_pages_that_llms_txt_names(written: Path) -> None:
    named = set(re.findall(r"\]\(([\w./-]+\.md)", (written / "en/llms.txt").read_text(encoding="utf-8")))
    text = (written / "en/llms-full.txt").read_text(encoding="utf-8")
    assert set(re.findall(r"<!-- ([\w./-]+\.md) -->", text)) == named
    assert named == {page for page in nav(settings("mkdocs.yml")["nav"]) if not page.startswith("decisions/")}


@pytest.mark.parametrize(
    ("language", "url", "there"),
    [
        ("en", "index.html", "ko/index.html"),
        ("en", "monitoring/index.html", "../ko/monitoring/index.html"),
        ("ko", "cli.html", "../cli.html"),
        ("ko", "monitoring/index.html", "../../monitoring/index.html"),
    ],
)
def test_the_language_menu_leads_to_the_same_page(language: str, url: str, there: str) -> None:
    page, config = SimpleNamespace(url=url), SimpleNamespace(theme={"language": language})
    output = hooks.on_post_page('<a href="/en"><a href="/ko">', page=page, config=config)
    assert set(re.findall(r'href="([^"]*)"', output)) == {there, posixpath.basename(url)}


def test_a_built_page_is_checked(tmp_path: Path) -> None:
    (tmp_path / "other.html").write_text('<h1 id="here">x</h1>')
    (tmp_path / "sheet.css").write_text("@import url(https://fonts.example/x.css); a { background: url(data:x) }")
    (tmp_path / "index.html").write_text(
        '<a href="other.html#here"><a href="#there"><a href="gone.html"><a href="https://toss.im">'
        '<img src="//cdn.example/x.png"><script src="other.html"></script>'
    )
    assert list(checks.problems(tmp_path)) == [
        "index.html loads //cdn.example/x.png",
        "index.html links to #there, which has no such anchor",
        "index.html links to gone.html",
        "sheet.css loads url(https://fonts.example/x.css",
    ]
