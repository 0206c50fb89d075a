"""Templates and static files of the package."""

import hashlib
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

from jinja2 import Environment, PackageLoader, StrictUndefined
from starlette.exceptions import HTTPException
from starlette.responses import PlainTextResponse, Response
from starlette.staticfiles import StaticFiles
from starlette.types import Scope

from supatoss.ops import formats

STATIC = Path(__file__).parent / "static"
FOREVER = "public, max-age=31536000, immutable"


def make_templates() -> Environment:
    """The templates, with the functions that don't depend on the request."""
    templates = Environment(
        loader=PackageLoader("supatoss.ops"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        auto_reload=False,
    )
    templates.globals.update(
        static=static_url,
        query=query,
        money=formats.money,
        count=formats.count,
        breakable=formats.breakable,
        capped_count=formats.capped_count,
        iso=formats.iso,
        short_id=formats.short_id,
        korean_time=formats.korean_time,
        parse_moment=formats.parse_moment,
        with_choice=with_choice,
    )
    return templates


@cache
def _digest(name: str) -> str:
    return hashlib.sha256((STATIC / name).read_bytes()).hexdigest()[:12]


def static_url(name: str) -> str:
    """The URL of a static file; it changes with the content, so that browsers may cache it."""
    return f"/ops/static/{name}?v={_digest(name)}"


def query(**values: Any) -> str:
    """A query string without the empty values."""
    return urlencode({name: value for name, value in values.items() if value not in (None, "")})


def with_choice(known: Sequence[str], requested: str) -> list[str]:
    """The choices of a list, plus the requested one if it isn't among them."""
    return [*known] if not requested or requested in known else [requested, *known]


class Assets(StaticFiles):
    """Static files. With their digest in the URL they are cached, else revalidated."""

    def __init__(self) -> None:
        super().__init__(directory=STATIC)

    async def get_response(self, path: str, scope: Scope) -> Response:
        """One file."""
        try:
            response = await super().get_response(path, scope)
        except HTTPException as error:
            # Answered here, so that it gets the security headers too.
            response = PlainTextResponse(error.detail, error.status_code)
        is_versioned = scope.get("query_string", b"").startswith(b"v=")
        response.headers["cache-control"] = FOREVER if is_versioned and response.status_code == 200 else "no-cache"
        return response
