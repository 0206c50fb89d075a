"""Finding a Chromium, or bringing one, and starting it so that it talks to nobody but the page."""

import os
import platform
import shutil
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from playwright.sync_api import Browser, sync_playwright

from scripts.local_stack import STATE, Child, find_node, install

NAMES = ("chromium", "chromium-browser")
FLAGS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--disable-default-apps",
    "--proxy-server=http://127.0.0.1:9",  # nothing answers there: what is not on loopback is not reached
    "--proxy-bypass-list=127.0.0.1;localhost",
    "--font-render-hinting=none",
]
UNPACK_SECONDS = 120.0
UNPACK = 'import chromium from "@sparticuz/chromium"; await chromium.executablePath();'
LIBRARIES_TOO = {"AWS_EXECUTION_ENV": "AWS_Lambda_nodejs22.x"}
"""How the package is told to unpack the libraries that a bare machine lacks."""

# The package's own names folders of its own, and without any font a form field ends the browser.
FONTS = """\
<?xml version="1.0"?>
<fontconfig><dir>{folder}/fonts</dir><dir>/usr/share/fonts</dir><cachedir>{folder}/cache</cachedir></fontconfig>
"""


def find_chromium() -> tuple[str, dict[str, str]]:
    """The browser's program and environment: CHROMIUM, else from PATH, else the npm package's; else the test fails."""
    named = os.environ.get("CHROMIUM")
    found = named or next(filter(None, map(shutil.which, NAMES)), None)
    if found:
        return found, {}
    if (sys.platform, platform.machine()) == ("linux", "x86_64"):
        return _bring_chromium()
    why = os.environ.get("SKIP_BROWSER_TESTS", "").strip()
    if why and not os.environ.get("CI"):
        pytest.skip(f"no Chromium, and SKIP_BROWSER_TESTS says: {why}")
    pytest.fail(
        "no Chromium on PATH: install it, name it (CHROMIUM=/path/to/chromium), or, outside of CI, say why the browser"
        " tests are not run (SKIP_BROWSER_TESTS='reason')",
        pytrace=False,
    )


def _bring_chromium() -> tuple[str, dict[str, str]]:
    """The one of the npm package @sparticuz/chromium, unpacked once below .local/ of the checkout."""
    modules = install(source=Path(__file__).parent, name="chromium")
    folder = modules.parent / "unpacked"
    if not folder.exists():
        with tempfile.TemporaryDirectory(dir=STATE) as unfinished:
            unpacked = Path(unfinished) / "unpacked"
            unpacked.mkdir()
            node = find_node()
            Child(
                "unpacking Chromium",
                [node.program, "--input-type=module", "-e", UNPACK],
                cwd=modules.parent,
                env={**os.environ, **LIBRARIES_TOO, "TMPDIR": str(unpacked)},
                log=modules.parent / "unpack.log",
            ).finish(UNPACK_SECONDS, "Chromium could not be unpacked")
            (unpacked / "fonts.conf").write_text(FONTS.format(folder=folder))
            unpacked.rename(folder)
    settings = {"LD_LIBRARY_PATH": str(folder / "al2023" / "lib"), "FONTCONFIG_FILE": str(folder / "fonts.conf")}
    return str(folder / "chromium"), settings


@contextmanager
def running_chromium() -> Iterator[Browser]:
    """A browser with an empty profile, until the end of the block."""
    program, settings = find_chromium()
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=program, headless=True, args=FLAGS, env={**os.environ, **settings}
        )
        try:
            yield browser
        finally:
            browser.close()
