"""Carries the service's calls over aiohttp, which parses in compiled code and sends a request in one piece.

httpx's own transport costs the service half as much again a call of the Data API, and three times as much a look-up at
Toss. Commands keep it: it starts faster.
"""

import asyncio
import select
import ssl
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from functools import partial

import aiohttp
import httpx
from aiohttp.client_proto import ResponseHandler
from yarl import URL

KEEP_ALIVE_SECONDS = 5.0
"""Of an idle connection, as httpx has it: shorter than any gateway's, which would close it while a call is sent."""

_ERRORS: tuple[tuple[type[Exception], type[httpx.TransportError]], ...] = (
    (aiohttp.ConnectionTimeoutError, httpx.ConnectTimeout),
    (aiohttp.ServerTimeoutError, httpx.ReadTimeout),
    (aiohttp.ServerDisconnectedError, httpx.RemoteProtocolError),
    (aiohttp.ClientConnectorError, httpx.ConnectError),
    (aiohttp.ClientOSError, httpx.ReadError),
    (aiohttp.ClientPayloadError, httpx.RemoteProtocolError),
    (aiohttp.ClientResponseError, httpx.RemoteProtocolError),
    (aiohttp.InvalidURL, httpx.UnsupportedProtocol),
)
"""The first that fits counts."""


class AiohttpTransport(httpx.AsyncBaseTransport):
    """A pool of connections."""

    def __init__(self, tls: ssl.SSLContext, max_connections: int) -> None:
        self._tls = tls
        self._max_connections = max_connections
        self._session: aiohttp.ClientSession | None = None

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """The answer to a request. Raises httpx.TransportError."""
        if self._session is None:
            self._session = self._open()
        limits = request.extensions["timeout"]
        with _httpx_errors():
            response = await self._session.request(
                request.method,
                URL(str(request.url), encoded=True),
                headers=request.headers.multi_items(),
                data=await request.aread() or None,
                allow_redirects=False,
                timeout=aiohttp.ClientTimeout(total=None, sock_connect=limits["connect"], sock_read=limits["read"]),
            )
        return httpx.Response(response.status, headers=response.raw_headers, stream=_Body(response), request=request)

    async def aclose(self) -> None:
        """Closes the connections."""
        if self._session is not None:
            await self._session.close()

    def _open(self) -> aiohttp.ClientSession:
        """Not before the first request: it belongs to the event loop that runs then."""
        session = aiohttp.ClientSession(
            connector=_Connector(ssl=self._tls, limit=self._max_connections, keepalive_timeout=KEEP_ALIVE_SECONDS),
            cookie_jar=aiohttp.DummyCookieJar(),
            auto_decompress=False,  # httpx does
            trust_env=False,
        )
        session._retry_connection = False  # noqa: SLF001 - it would send each GET twice, and callers count their tries
        return session


class _Connector(aiohttp.TCPConnector):
    """The pool, which takes its connections from a factory."""

    def __init__(self, *, ssl: ssl.SSLContext, limit: int, keepalive_timeout: float) -> None:
        super().__init__(ssl=ssl, limit=limit, keepalive_timeout=keepalive_timeout)
        self._factory = partial(_Protocol, loop=asyncio.get_running_loop())  # type: ignore[assignment]


class _Protocol(ResponseHandler):
    """A connection that is not used again once something came while it was idle, the connection's end included.

    aiohttp would take that, such as the 408 of a gateway that is about to close, for the answer to the next request.
    """

    def is_connected(self) -> bool:
        """Whether it can carry a request."""
        return super().is_connected() and not self.should_close and not self._has_unread()

    def _has_unread(self) -> bool:
        """Whether something came that the event loop, while it was busy, has not read yet."""
        if self.transport is None:
            return False
        poll = select.poll()
        poll.register(self.transport.get_extra_info("socket"), select.POLLIN)
        return bool(poll.poll(0))


class _Body(httpx.AsyncByteStream):
    """An answer's bytes as they come, so that its reader decides how many are too many."""

    def __init__(self, response: aiohttp.ClientResponse) -> None:
        self._response = response

    async def __aiter__(self) -> AsyncIterator[bytes]:
        with _httpx_errors():
            async for chunk in self._response.content.iter_any():
                yield chunk

    async def aclose(self) -> None:
        """Closes the connection, unless the answer was read to its end: then it is free already."""
        self._response.close()


@contextmanager
def _httpx_errors() -> Iterator[None]:
    """Tells errors as httpx does. Without their texts, which can hold a header."""
    try:
        yield
    except (aiohttp.ClientError, OSError) as error:
        kind = next((ours for theirs, ours in _ERRORS if isinstance(error, theirs)), httpx.ReadError)
        raise kind(type(error).__name__) from error
