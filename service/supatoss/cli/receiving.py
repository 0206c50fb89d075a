"""`supatoss listen` without an inbox: an address of its own on this machine."""

import asyncio
import contextlib
import socket
from typing import TYPE_CHECKING

import typer

from supatoss.cli.forwarding import Forwarding, greet, read_event
from supatoss.cli.options import Form
from supatoss.cli.output import ExitStatus
from supatoss.cli.sending import SigningKeys, open_sender
from supatoss.errors import NotAllowed
from supatoss.log_lines import Lines, may_colour

if TYPE_CHECKING:
    from starlette.requests import Request
    from starlette.responses import Response


async def receive(port: int, url: str, keys: SigningKeys, form: Form | None, *, is_json: bool) -> ExitStatus:
    """Forwards what arrives at our own address, and returns the application's answer."""
    import uvicorn
    from starlette.applications import Starlette
    from starlette.responses import JSONResponse, PlainTextResponse
    from starlette.routing import Route

    with socket.socket() as listener:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listener.bind(("127.0.0.1", port))
            listener.listen()  # before its address is printed: connections queue
        except OSError as error:
            raise NotAllowed(f"--port {port}: {error.strerror}") from None
        own = f"http://127.0.0.1:{listener.getsockname()[1]}/"
        if not is_json:
            command = f"supatoss trigger PAYMENT_STATUS_CHANGED --signed none --to {own}"
            greet(f"No inbox here. What arrives at {own} is posted to {url}.", keys, command)
        async with open_sender(url) as sender:
            run = Forwarding(sender, keys, form, Lines(in_colour=may_colour()), is_json, waits=False)

            async def forward(request: "Request") -> "Response":
                body = await request.body()
                event_type, about = read_event(body)
                answer = await run.deliver(body, event_type, about)
                if answer.status is None:
                    return PlainTextResponse(f"{answer}\n", 502)
                if isinstance(answer.content, str):
                    return PlainTextResponse(answer.content, answer.status)
                return JSONResponse(answer.content, answer.status)

            app = Starlette(routes=[Route("/{path:path}", forward, methods=["POST"])])
            config = uvicorn.Config(
                app, log_level="critical", access_log=False, lifespan="off", timeout_graceful_shutdown=1
            )
            with contextlib.suppress(asyncio.CancelledError):
                await uvicorn.Server(config).serve(sockets=[listener])
            if not is_json and run.counts:
                typer.echo(run.summary())
    return ExitStatus.OK
