"""Templates and static files, from the package."""

import hashlib
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
from supatoss.ops.i18n import capped

STATIC = Path(__file__).parent / "static"
FOREVER = "public, max-age=31536000, immutable"


def make_templates() -> Environment:
    """The templates with what does not depend on the request."""
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
        capped=capped,
        iso=formats.iso,
        korean_time=formats.korean_time,
        parse_moment=formats.parse_moment,
    )
    return templates


@cache
def _digest(name: str) -> str:
    return hashlib.sha256((STATIC / name).read_bytes()).hexdigest()[:12]


def static_url(name: str) -> str:
    """The address of a static file; it changes with the file, so that browsers may keep it."""
    return f"/ops/static/{name}?v={_digest(name)}"


def query(**values: Any) -> str:
    """A query string of the values that are there."""
    return urlencode({name: value for name, value in values.items() if value not in (None, "")})


class Files(StaticFiles):
    """Static files. Asked for by their digest they may be kept, else they are asked for again."""

    def __init__(self) -> None:
        super().__init__(directory=STATIC)

    async def get_response(self, path: str, scope: Scope) -> Response:
        """One file."""
        try:
            response = await super().get_response(path, scope)
        except HTTPException as error:
            # Answered here, so that the security headers are on it too.
            response = PlainTextResponse(error.detail, error.status_code)
        is_versioned = scope.get("query_string", b"").startswith(b"v=")
        response.headers["cache-control"] = FOREVER if is_versioned and response.status_code == 200 else "no-cache"
        return response
