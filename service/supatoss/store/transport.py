"""Carries the calls of Supabase's client over aiohttp, which parses in compiled code and sends a request in one piece.

httpx's own transport costs the service half as much again a call. Commands keep it: it starts faster.
"""

import ssl

import aiohttp
import httpx
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


class DataApiTransport(httpx.AsyncBaseTransport):
    """A pool of connections. Answers are read whole: those of the Data API are small."""

    def __init__(self, tls: ssl.SSLContext, max_connections: int) -> None:
        self._tls = tls
        self._max_connections = max_connections
        self._session: aiohttp.ClientSession | None = None

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """The answer to a request. Raises httpx.TransportError."""
        if self._session is None:
            self._session = self._open()
        limits = request.extensions["timeout"]
        try:
            async with self._session.request(
                request.method,
                URL(str(request.url), encoded=True),
                headers=request.headers.multi_items(),
                data=await request.aread() or None,
                allow_redirects=False,
                timeout=aiohttp.ClientTimeout(total=None, sock_connect=limits["connect"], sock_read=limits["read"]),
            ) as response:
                content = await response.read()
        except (aiohttp.ClientError, OSError) as error:
            raise _as_httpx(error) from error
        return httpx.Response(response.status, headers=response.raw_headers, content=content, request=request)

    async def aclose(self) -> None:
        """Closes the connections."""
        if self._session is not None:
            await self._session.close()

    def _open(self) -> aiohttp.ClientSession:
        """Not before the first request: it belongs to the event loop that runs then."""
        return aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(
                ssl=self._tls, limit=self._max_connections, keepalive_timeout=KEEP_ALIVE_SECONDS
            ),
            cookie_jar=aiohttp.DummyCookieJar(),
            auto_decompress=False,  # httpx does
            trust_env=False,
        )


def _as_httpx(error: Exception) -> httpx.TransportError:
    """Without its text, which can hold a header."""
    kind = next((ours for theirs, ours in _ERRORS if isinstance(error, theirs)), httpx.ReadError)
    return kind(type(error).__name__)
