"""The server behind `supatoss serve`: a uvicorn that ends in good order."""

import asyncio
import socket
from types import FrameType

import structlog
import uvicorn

from supatoss.cli.gate import Gate

GRACE_SECONDS = 10.0
"""Time for answers in flight after SIGTERM: longer than the longest answer."""

LINGER_SECONDS = 0.5
"""Time in which requests that were on their way when the signal came meet a 503 and not a closed door."""

CLOSE_SECONDS = 2
"""Time for the last bytes to leave; then the worker has its own grace, and all of it fits into Fly's kill_timeout."""


class Server(uvicorn.Server):
    """A uvicorn that goes on answering while it ends, and whose end by a signal is a success."""

    def __init__(self, config: uvicorn.Config, gate: Gate) -> None:
        super().__init__(config)
        self._gate = gate
        self._is_hurried = False
        self._ending: asyncio.AbstractEventLoop | None = None

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:  # noqa: ARG002  the signature of a handler
        """The first signal waits for answers in flight, the second one does not. uvicorn's own would raise it again."""
        self._is_hurried = self.should_exit
        if self._ending:
            self._ending.call_soon_threadsafe(self._gate.hurry)
        self.should_exit = True

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Lets requests in flight end while new ones are refused, then closes every connection."""
        log = structlog.get_logger("supatoss")
        log.info("stopping", in_flight=self._gate.in_flight)
        self._gate.close()
        self._ending = asyncio.get_running_loop()
        if self._is_hurried:
            self._gate.hurry()
        await asyncio.sleep(LINGER_SECONDS)
        await self._gate.drain(GRACE_SECONDS - LINGER_SECONDS)
        self._gate.hurry()
        await self._gate.drain(CLOSE_SECONDS)
        await super().shutdown(sockets)
        log.info("stopped", refused=self._gate.refused)
