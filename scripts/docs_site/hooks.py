"""What MkDocs calls while it builds the site."""

import posixpath
from typing import Any

from scripts.docs_site.pages import anchor


def on_config(config: Any) -> Any:
    """Anchors as GitHub makes them, so that a link holds in both places."""
    config.mdx_configs["toc"]["slugify"] = lambda heading, _separator: anchor(heading)
    return config


def on_post_page(output: str, page: Any, config: Any) -> str:
    """Lets the language menu lead to the same page, and not to the other language's home."""
    folders = {"/en": "", "/ko": "ko"}  # as `extra` in mkdocs.yml has them
    here = posixpath.dirname(posixpath.join(folders["/" + config.theme["language"]], page.url))
    for link, folder in folders.items():
        there = posixpath.relpath(posixpath.join(folder, page.url), here or ".")
        output = output.replace(f'href="{link}"', f'href="{there}"')
    return output
