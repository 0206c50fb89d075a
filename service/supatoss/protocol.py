"""uvicorn's protocol over httptools, within limits that it doesn't have: heads, time, pipelines, unread answers.

httptools stays, because h11, whose heads uvicorn can limit, costs several times as much a request.
"""

import asyncio
from typing import Any

import httptools
from uvicorn.config import Config
from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol, RequestResponseCycle
from uvicorn.server import ServerState

from supatoss.connections import Connections, Refusal

KIB = 1024

MAX_HEAD_BYTES = 16 * KIB
"""Of a request, everything but its body: request line, header lines, framing and trailers of chunks. A delivery of
Toss behind a proxy has about 1 KiB."""

MAX_LINE_BYTES = 8 * KIB
"""Request line, or one header line."""

MAX_HEADER_LINES = 100
"""Toss and a proxy send about twenty."""

HEAD_SECONDS = 10.0
"""From the connection, or the first byte of a later request, to the end of the head."""

BODY_SECONDS = 10.0
"""From the head to the end of the body; Toss has given up by then. Deliveries have less, see webhook.py."""

UNREAD_SECONDS = 10.0
"""How long an answer waits for a client that doesn't read it."""

MAX_PIPELINED = 8
"""Requests that wait behind the one in hand. No proxy sends any; a piece of 256 KiB can hold ten thousand."""

RETRY_AFTER_SECONDS = 5

_STATUS = {
    Refusal.HEAD_TOO_LARGE: 431,
    Refusal.HEAD_TOO_SLOW: 408,
    Refusal.BODY_TOO_SLOW: 408,
    Refusal.PIPELINED: 400,
    Refusal.MALFORMED: 400,
}


class BoundedProtocol(HttpToolsProtocol):
    """One connection. What it can make the process hold is limited by it and, with all others, by `connections`."""

    def __init__(
        self,
        config: Config,
        server_state: ServerState,
        app_state: dict[str, Any],
        _loop: asyncio.AbstractEventLoop | None = None,
        *,
        connections: Connections,
    ) -> None:
        super().__init__(config, server_state, app_state, _loop)
        self.held_bytes = 0
        self._all = connections
        self._peer = ""
        self._head_bytes = 0
        self._body_bytes = 0
        self._lines = 0
        self._is_in_head = True
        self._is_over = False
        self._over_limit: Refusal | None = None
        self._is_awaited = True
        self._watched = (0, True)
        self._message = 0
        self._deadline = 0.0
        self._late: asyncio.TimerHandle | None = None
        self._unread: asyncio.TimerHandle | None = None

    # -- the connection

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Takes it in, or answers that there is no room."""
        super().connection_made(transport)
        self._peer = self.client[0] if self.client else ""
        refusal = self._all.admit(self, self._peer)
        if refusal:
            self.refuse(refusal)
        else:
            self._watch(HEAD_SECONDS)

    def connection_lost(self, exc: Exception | None) -> None:
        """Gives back what it held."""
        self._is_over = True
        self._all.leave(self)
        for timer in (self._late, self._unread):
            if timer:
                timer.cancel()
        super().connection_lost(exc)

    def refuse(self, refusal: Refusal) -> None:
        """Closes the connection, with an answer if none has begun."""
        if self._is_over:
            return
        self._is_over = True
        self._all.refused(refusal, self._peer)
        if refusal is Refusal.ANSWER_NOT_READ:
            self.transport.abort()
            return
        cycle: RequestResponseCycle | None = self.cycle
        is_in_hand = cycle is not None and not cycle.response_complete
        if not (cycle and is_in_hand and cycle.response_started) and not self.transport.is_closing():
            self.transport.write(_answer(_STATUS.get(refusal, 503)))
        if cycle and is_in_hand:
            cycle.body = bytearray()  # Now, not when its task is next: thousands may be read before that.
            cycle.disconnected = True
            cycle.message_event.set()
        self.transport.close()
        self._expect_reader()

    # -- time

    def _watch(self, seconds: float) -> None:
        """The rest of the head, or of the body, has to come in this time. One timer for both: it looks at the clock."""
        self._deadline = self.loop.time() + seconds
        if self._late is None:
            self._late = self.loop.call_later(seconds, self._is_late)
            self._all.awaits(self)

    def _watch_what_is_open(self) -> None:
        """A request that arrived whole needs no timer; the rest of another has its time, counted once."""
        if not self._is_awaited:
            if self._late:
                self._late.cancel()
                self._late = None
        elif self._watched != (now := (self._message, self._is_in_head)):
            self._watched = now
            self._watch(HEAD_SECONDS if self._is_in_head else BODY_SECONDS)

    def _is_late(self) -> None:
        left = self._deadline - self.loop.time()
        if left > 0:
            self._late = self.loop.call_later(left, self._is_late)
        else:
            self._late = None
            self.refuse(Refusal.HEAD_TOO_SLOW if self._is_in_head else Refusal.BODY_TOO_SLOW)

    def _expect_reader(self) -> None:
        if self._unread is None:
            self._unread = self.loop.call_later(UNREAD_SECONDS, self._not_read)

    def _not_read(self) -> None:
        self._is_over = False
        self.refuse(Refusal.ANSWER_NOT_READ)

    def pause_writing(self) -> None:
        """The client is behind with reading."""
        super().pause_writing()
        self._expect_reader()

    def resume_writing(self) -> None:
        """The client has read."""
        super().resume_writing()
        if self._unread:
            self._unread.cancel()
            self._unread = None

    def timeout_keep_alive_handler(self) -> None:
        """Closes an idle connection, also where the last answer was never read."""
        super().timeout_keep_alive_handler()
        self._expect_reader()

    # -- the parser

    def data_received(self, data: bytes) -> None:
        """Feeds the parser in pieces, so that no head is longer than a piece more than its limit."""
        try:
            view = memoryview(data)
            for start in range(0, len(view), MAX_HEAD_BYTES):
                if self._is_over:
                    return
                self._feed(view[start : start + MAX_HEAD_BYTES])
            self._watch_what_is_open()
        except httptools.HttpParserError:
            self.refuse(self._over_limit or Refusal.MALFORMED)
        except httptools.HttpParserUpgrade:
            # Not supported: the request is answered as if it had not asked, and what follows it is not read.
            self._is_over = True
            self.cycle.keep_alive = False

    def _feed(self, piece: memoryview) -> None:
        self._body_bytes = 0
        self.parser.feed_data(piece)
        self._head_bytes += len(piece) - self._body_bytes
        if self._head_bytes > MAX_HEAD_BYTES:
            self._stop(Refusal.HEAD_TOO_LARGE)

    def on_message_begin(self) -> None:
        """A request begins."""
        if len(self.pipeline) >= MAX_PIPELINED:
            self._stop(Refusal.PIPELINED)
        super().on_message_begin()
        self._unset_keepalive_if_required()
        self._is_in_head = self._is_awaited = True
        self._head_bytes = self._lines = 0
        self._message += 1

    def on_url(self, url: bytes) -> None:
        """A piece of the request line."""
        super().on_url(url)
        if len(self.url) > MAX_LINE_BYTES:
            self._stop(Refusal.HEAD_TOO_LARGE)

    def on_header(self, name: bytes, value: bytes) -> None:
        """A header line. Those of a trailer are dropped: the head has been read."""
        self._lines += 1
        if self._lines > MAX_HEADER_LINES or len(name) + len(value) > MAX_LINE_BYTES:
            self._stop(Refusal.HEAD_TOO_LARGE)
        if self._is_in_head:
            super().on_header(name, value)

    def on_headers_complete(self) -> None:
        """The head is complete: the request is begun, or waits behind others."""
        self._is_in_head = False
        super().on_headers_complete()

    def on_body(self, body: bytes) -> None:
        """A piece of the body."""
        self._body_bytes += len(body)
        if not self.cycle.response_started:
            self._all.hold(self, len(body))
        if not self._is_over:
            super().on_body(body)

    def on_message_complete(self) -> None:
        """The request has arrived whole."""
        super().on_message_complete()
        self._is_awaited = False
        self._all.arrived(self)

    def on_response_complete(self) -> None:
        """The answer is on its way."""
        if not self.pipeline:
            self._all.release(self)
        super().on_response_complete()
        if self.transport.is_closing():
            self._expect_reader()
        elif not self.pipeline:
            self._all.awaits(self)

    def _stop(self, refusal: Refusal) -> None:
        """Stops the parser; what it was fed last is not looked at any more."""
        self._over_limit = refusal
        raise httptools.HttpParserError(refusal.value)


def _answer(status: int) -> bytes:
    retry = b"retry-after: %d\r\n" % RETRY_AFTER_SECONDS if status == 503 else b""
    return STATUS_LINE[status] + retry + b"content-length: 0\r\nconnection: close\r\n\r\n"
