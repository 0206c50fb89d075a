"""The words for a service that cannot be reached, from real sockets, real certificates, and both transports' errors."""

import asyncio
import datetime as dt
import ipaddress
import socket
import ssl
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import httpx
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from supatoss.causes import failure
from supatoss.tls import tls_context
from supatoss.transport import AiohttpTransport

pytestmark = pytest.mark.anyio

LOOPBACK = "127.0.0.1"
NOW = dt.datetime.now(dt.UTC)
DAY = dt.timedelta(days=1)


def certificate(folder: Path, host: str, first: dt.datetime, last: dt.datetime) -> Path:
    """A certificate and its key, signed by itself."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "made up")])
    made = (
        x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number(), first, last)
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address(host))]), critical=False)
        .sign(key, hashes.SHA256())
    )
    file = folder / f"{host}-{first:%s}.pem"
    private = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    file.write_bytes(made.public_bytes(Encoding.PEM) + private)
    return file


@asynccontextmanager
async def serving(file: Path | None) -> AsyncIterator[str]:
    """A server that speaks TLS with a certificate, or none, and hangs up."""
    context = None
    if file:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(file)

    async def answer(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n")
        writer.close()

    server = await asyncio.start_server(answer, LOOPBACK, 0, ssl=context)
    try:
        yield f"https://{LOOPBACK}:{server.sockets[0].getsockname()[1]}"
    finally:
        server.close()
        await server.wait_closed()


async def failed(url: str, trusted: Path | None = None) -> str:
    context = tls_context()
    if trusted:
        context.load_verify_locations(trusted)
    said = set()
    for transport in (httpx.AsyncHTTPTransport(verify=context), AiohttpTransport(context, 1)):
        async with httpx.AsyncClient(transport=transport, trust_env=False, timeout=5.0) as http:
            with pytest.raises(httpx.HTTPError) as caught:
                await http.get(url, headers={"authorization": "hidden"})
        said.add(failure(caught.value, "SUPABASE_URL"))
    (cause,) = said
    return cause


@pytest.mark.parametrize(
    ("host", "first", "last", "is_trusted", "cause"),
    [
        (LOOPBACK, NOW - DAY, NOW + DAY, False, "its certificate is not trusted: is a proxy before SUPABASE_URL?"),
        (LOOPBACK, NOW - 2 * DAY, NOW - DAY, True, "the certificate at SUPABASE_URL has expired"),
        (
            LOOPBACK,
            NOW + DAY,
            NOW + 2 * DAY,
            True,
            "the certificate at SUPABASE_URL is not valid yet: check this machine's clock",
        ),
        ("127.0.0.2", NOW - DAY, NOW + DAY, True, "the certificate at SUPABASE_URL is for another host"),
    ],
    ids=["not trusted", "expired", "not valid yet", "of another host"],
)
async def test_a_certificate(
    tmp_path: Path, host: str, first: dt.datetime, last: dt.datetime, is_trusted: bool, cause: str
) -> None:
    file = certificate(tmp_path, host, first, last)
    async with serving(file) as url:
        assert await failed(url, file if is_trusted else None) == cause


async def test_a_service_without_tls() -> None:
    async with serving(None) as url:
        assert await failed(url) == "TLS failed: what listens at SUPABASE_URL is no https service"


async def test_a_port_where_nothing_listens() -> None:
    with socket.socket() as bound:
        bound.bind((LOOPBACK, 0))
        url = f"https://{LOOPBACK}:{bound.getsockname()[1]}"
        assert await failed(url) == "nothing listens at SUPABASE_URL: connection refused"


async def test_a_host_without_an_address(monkeypatch: pytest.MonkeyPatch) -> None:
    def unknown(*_arguments: object, **_options: object) -> None:
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    monkeypatch.setattr(socket, "getaddrinfo", unknown)
    said = await failed("https://abcdefgh.supabase.co")
    assert said == "the host of SUPABASE_URL has no address: check its spelling, and DNS"


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (httpx.ReadTimeout, "SUPABASE_URL took too long to answer"),
        (httpx.ConnectError, "no connection to SUPABASE_URL"),
        (httpx.PoolTimeout, "no free connection to SUPABASE_URL"),
        (TimeoutError, "SUPABASE_URL took too long to answer"),
        (ZeroDivisionError, "no answer from SUPABASE_URL"),
    ],
)
def test_a_cause_that_is_not_known(error: Callable[[str], Exception], said: str) -> None:
    assert failure(error("a header of the request"), "SUPABASE_URL") == said


def test_an_error_that_is_its_own_cause() -> None:
    error, other = httpx.ConnectError("hidden"), ConnectionRefusedError("hidden")
    error.__cause__, other.__cause__ = other, error
    assert failure(error, "SUPABASE_URL") == "nothing listens at SUPABASE_URL: connection refused"
