"""Sabotage: a service that answers 200 before it writes. `python -m tests.faults.early`; the suite has to see it."""

import asyncio

import uvicorn
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from supatoss.app import create_app, load_settings

_BODY = b'{"status": "created"}'


class Early:
    """Answers a delivery as soon as its body is there, and lets the real application have it afterwards."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app
        self._later: set[asyncio.Task[None]] = set()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or scope["method"] != "POST":
            await self._app(scope, receive, send)
            return
        messages = [await receive()]
        while messages[-1].get("more_body"):
            messages.append(await receive())

        async def again() -> Message:
            return messages.pop(0)

        async def nowhere(_message: Message) -> None:
            pass

        task = asyncio.ensure_future(self._app(scope, again, nowhere))
        self._later.add(task)
        task.add_done_callback(self._later.discard)
        await send(
            {
                "type": "http.response.start",
                "status": 200,
                "headers": [(b"content-length", str(len(_BODY)).encode())],
            }
        )
        await send({"type": "http.response.body", "body": _BODY})


if __name__ == "__main__":
    settings = load_settings()
    uvicorn.run(Early(create_app(settings)), host=settings.host, port=settings.port, log_config=None, access_log=False)
