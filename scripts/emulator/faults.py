"""Faults that the control API injects into the next API calls."""

import asyncio
from dataclasses import dataclass
from typing import Any

import httpx
from starlette.responses import Response
from starlette.types import ASGIApp, Receive, Scope, Send

from scripts.emulator.errors import TossError, code_for
from scripts.emulator.formats import to_json

_DROP = "emulator.drop"


@dataclass
class Fault:
    """A fault for the next `count` calls whose path begins with `path_prefix`.

    `is_after`: the call is done, only its answer is lost; else the call is not done. A delay alone delays it.
    """

    path_prefix: str = "/v1/"
    count: int = 1
    status: int | None = None
    code: str | None = None
    retry_after_seconds: float | None = None
    delay_seconds: float = 0.0
    is_garbage: bool = False
    is_drop: bool = False
    is_after: bool = False

    @property
    def has_answer(self) -> bool:
        """Whether the answer is replaced."""
        return bool(self.status or self.code or self.is_garbage or self.is_drop)

    def response(self) -> Response:
        """The replacement answer."""
        if self.is_drop:
            return Dropped(status_code=0)
        status = self.status or (200 if self.is_garbage else TossError(self.code or "").status)
        headers = {} if self.retry_after_seconds is None else {"retry-after": f"{self.retry_after_seconds:g}"}
        if self.is_garbage:
            return Response("<html><body>Bad Gateway</body>", status, headers, media_type="text/html")
        code = self.code or code_for(status)
        body: dict[str, Any] = {"code": code, "message": TossError(code).message()}
        return Response(to_json(body), status, headers, media_type="application/json")


class Dropped(Response):
    """No answer: the connection is closed without a byte."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:  # noqa: ARG002  the ASGI interface
        """Closes the connection and waits until the server has noticed."""
        transport = scope.get(_DROP)
        if transport is None:  # httpx.ASGITransport has no socket: raise what a closed one would cause
            raise httpx.RemoteProtocolError("Server disconnected without sending a response.")
        await _hang_up(transport, receive)


def remember_connection(app: ASGIApp) -> ASGIApp:
    """Outermost: keeps the connection, which only uvicorn's own `send` knows."""

    async def remembering(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            scope[_DROP] = getattr(getattr(send, "__self__", None), "transport", None)
        try:
            await app(scope, receive, send)
        except asyncio.CancelledError:  # shutdown during a slow call
            if scope.get(_DROP) is None:
                raise
            await _hang_up(scope[_DROP], receive)

    return remembering


async def _hang_up(transport: asyncio.Transport, receive: Receive) -> None:
    transport.abort()
    while (await receive())["type"] != "http.disconnect":
        pass
