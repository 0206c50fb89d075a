"""Builds the site into build/site and checks it. Needs what requirements-docs.txt names, and no network."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

from scripts.docs_site import checks, pages

BUILD = pages.ROOT / "build"
SITE = BUILD / "site"


def main() -> int:
    """Exit status 1 if MkDocs warns of anything or a link leads nowhere."""
    shutil.rmtree(SITE, ignore_errors=True)
    try:
        pages.write(BUILD / "pages")
    except pages.NotOnSite as problem:
        print(problem, file=sys.stderr)
        return 1
    for config in ("mkdocs.yml", "mkdocs.ko.yml"):  # in this order: MkDocs empties a folder that it builds into
        built = subprocess.run(
            [sys.executable, "-m", "mkdocs", "build", "--quiet", "--strict", "--config-file", config],
            cwd=pages.ROOT,
            env=os.environ | {"NO_MKDOCS_2_WARNING": "1"},
            check=False,
        )
        if built.returncode:
            return 1
    for page in SITE.rglob("404.html"):  # its links hold at the root of a host only
        page.unlink()
    for text in (BUILD / "pages" / "en").rglob("*.md"):  # llms.txt leads to the pages as Markdown
        shutil.copyfile(text, SITE / text.relative_to(BUILD / "pages" / "en"))
    found = list(checks.problems(SITE))
    print(*found, sep="\n", end="\n" * bool(found), file=sys.stderr)
    if not found:
        print(f"{len(list(SITE.rglob('*.html')))} pages: open {Path(os.path.relpath(SITE))}/index.html")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
