"""What axe-core finds on a page."""

import json
from functools import cache
from pathlib import Path

from playwright.sync_api import Page

from scripts.local import npm


@cache
def axe_script() -> str:
    """The library, installed once below .local/ of the checkout, without the browser of the same package."""
    modules = npm.install(source=Path(__file__).parent, name="axe", with_optional=False)
    return (modules / "axe-core" / "axe.min.js").read_text(encoding="utf-8")


def find_violations(page: Page) -> list[str]:
    """One line each: the rule, where, and what to do. The page's own policy must be bypassed to let the library in."""
    page.evaluate(axe_script())
    report = page.evaluate("axe.run({resultTypes: ['violations']})")
    return [
        f"{problem['id']}: {json.dumps(node['target'])} {node['failureSummary']}"
        for problem in report["violations"]
        for node in problem["nodes"]
    ]
