"""What is attacked. A target takes any bytes and raises AssertionError where a promise is broken."""

import asyncio
import base64
import contextlib
import hashlib
import hmac
import json
import os
import socket
import tempfile
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import psycopg
import structlog
from hypothesis import strategies as st

from scripts.local_stack import LOOPBACK, LocalPostgres, free_port
from supatoss.app import create_app
from supatoss.cli.sending import now_with_offset
from supatoss.errors import NotReadable
from supatoss.inbox.claims import claim_of
from supatoss.inbox.event import NewEvent, Proof
from supatoss.inbox.interpret import interpret
from supatoss.inbox.lookups import Lookups
from supatoss.masking import mask_json
from supatoss.settings import Settings
from supatoss.toss.client import TossClient
from supatoss.toss.delivery import Delivery, read_body
from supatoss.toss.events import parse_event
from supatoss.toss.signature import Keys, SignatureCheck, check_signature, sign_hex, sign_v1
from tests.database.conftest import migrate
from tests.database.store import DatabaseStore
from tests.database.support import RECEIVED_AT, Database
from tests.fuzz import cases
from tests.processes import running_service
from tests.support import SECRET_KEY, SECURITY_KEY, signed_headers
from tests.unit.fakes import SleepingWorker

Run = Callable[[bytes], None]

KEYS = Keys((SECRET_KEY,), (SECURITY_KEY,))
MAX_GROWTH = 8
"""Of what is stored against what was sent; a replaced character is three bytes."""

READ_BACK = (
    "select payload::text, jsonb_pretty(payload), change::text, last_error, reason from webhook_events",
    "select (change ->> 'amount')::numeric from webhook_events",
    "select jsonb_path_query(payload, '$.** ? (@.type() == \"number\")')::text from webhook_events",
    "select row_to_json(p)::text from payments p",
    "select row_to_json(s)::text from subscriptions s",
    "select row_to_json(s)::text from settlements s",
    "select * from payment_timeline",
    "select * from webhook_failures",
    "select * from webhook_health",
)
"""What people and pages ask for."""

HONEST: dict[str, Any] = {
    "eventType": "PAYMENT_STATUS_CHANGED",
    "createdAt": "2026-03-14T10:00:00.000000",
    "data": {"paymentKey": "honest-key", "orderId": "honest-order", "status": "DONE", "totalAmount": 10_000},
}


@dataclass(frozen=True)
class Target:
    """cases: what it is tried with. opened: what it needs, for the length of a block, and how one case is run."""

    name: str
    cases: st.SearchStrategy[bytes] = field(repr=False)
    opened: Callable[[], AbstractContextManager[Run]]


@contextmanager
def signature() -> Iterator[Run]:
    """Any bytes are valid or not, as another reading of the rules says; what is signed is valid, one bit off is not."""

    def run(case: bytes) -> None:
        header, _, rest = case.partition(b"\n")
        sent_at, _, body = rest.partition(b"\n")
        check = check_signature(Delivery(body, header, sent_at), KEYS)
        assert check.is_valid == _is_signed(header, body + b":" + sent_at), check
        assert check_signature(Delivery(body, None, sent_at), KEYS) is SignatureCheck.MISSING
        assert check_signature(Delivery(body, header, None), KEYS) is SignatureCheck.INVALID
        time = sent_at.decode("ascii", errors="ignore")
        for made in (sign_hex(body, time, SECRET_KEY), sign_v1(body, time, SECURITY_KEY)):
            genuine = Delivery(body, made.encode(), time.encode())
            assert check_signature(genuine, KEYS).is_valid
            assert not check_signature(Delivery(body + b" ", made.encode(), time.encode()), KEYS).is_valid
            assert not check_signature(Delivery(body, made.encode(), time.encode() + b" "), KEYS).is_valid

    yield run


def _is_signed(header: bytes, message: bytes) -> bool:
    if b":" not in header:
        return header.strip() == hmac.new(SECRET_KEY.encode(), message, hashlib.sha256).hexdigest().encode()
    for derived in (SECURITY_KEY.encode(), bytes.fromhex(SECURITY_KEY)):
        mac = base64.b64encode(hmac.new(derived, message, hashlib.sha256).digest())
        if b"v1:" + mac in (item.strip() for item in header.split(b",")):
            return True
    return False


@contextmanager
def meaning() -> Iterator[Run]:
    """A body is refused as NotReadable, or is an event with one meaning and a record that is JSON."""

    def run(case: bytes) -> None:
        try:
            body = read_body(case)
        except NotReadable:
            return
        event = parse_event(body.fields)
        claim_of(event.event_type, body.fields)
        record = NewEvent(event, body, interpret(event), Proof.SIGNATURE, RECEIVED_AT).to_record()
        assert json.loads(json.dumps(record, allow_nan=False)) == record
        assert interpret(parse_event(body.fields)) == interpret(event)
        assert len(body.text.encode()) <= MAX_GROWTH * max(len(case), 8)
        mask_json(body.text)
        assert read_body(body.text.encode()).text == body.text

    yield run


@contextmanager
def rows() -> Iterator[Run]:
    """A signed body is stored or not readable; what is stored can be read; neighbours and repeats are as ever."""
    with _database() as database, _app(database, _nothing) as send:
        honest = json.dumps(HONEST).encode()

        def run(case: bytes) -> None:
            database.clear()
            answers = send([case, honest])
            assert answers[0].status_code in (200, 400, 413), (answers[0].status_code, answers[0].text)
            assert answers[1].status_code == 200
            _read_back(database, len(case))
            (paid,) = database.rows("select payment_status from payments where order_id = 'honest-order'")
            assert paid["payment_status"] == "DONE"
            if answers[0].status_code == 200:
                stored = database.rows("select event_key from webhook_events order by event_key")
                assert len(stored) in (1, 2)
                assert send([case])[0].status_code == 200
                assert database.rows("select event_key from webhook_events order by event_key") == stored

        yield run


@contextmanager
def answer() -> Iterator[Run]:
    """Whatever Toss answers about a payment, a delivery that names it is recorded, refused, or sent again."""
    said: list[bytes] = [b""]
    with _database() as database, _app(database, lambda _: httpx.Response(200, content=said[0])) as send:

        def run(case: bytes) -> None:
            database.clear()
            said[0] = case
            for hint in (_hint(case), _hint(b"")):
                before = database.rows("select id from webhook_events order by id")
                (response,) = send([hint], is_signed=False)
                assert response.status_code in (200, 401, 503), (response.status_code, response.text)
                if response.status_code != 200:
                    assert database.rows("select id from webhook_events order by id") == before
            _read_back(database, len(case))

        yield run


def _hint(case: bytes) -> bytes:
    """A delivery about the payment that Toss's answer names."""
    with contextlib.suppress(NotReadable):
        fields = read_body(case).fields
        names = {name: fields[name] for name in ("paymentKey", "orderId") if isinstance(fields.get(name), str)}
        return json.dumps({"eventType": "PAYMENT_STATUS_CHANGED", "data": {**HONEST["data"], **names}}).encode()
    return json.dumps(HONEST).encode()


@contextmanager
def head() -> Iterator[Run]:
    """Any bytes on a connection get answers that are HTTP and no 500, and the process goes on answering others."""
    port = free_port()
    settings = {
        "SUPABASE_URL": f"http://{LOOPBACK}:9",
        "SUPABASE_SECRET_KEY": "sb_secret_for_fuzzing_0000000000000001",
        "TOSS_SECRET_KEY": SECRET_KEY,
        "TOSS_API_URL": f"http://{LOOPBACK}:9",
        "TOSS_UNSIGNED": "reject",
        "WORKER": "off",
        "OPS_PASSWORD": "a phrase for fuzzing",
    }
    with (
        tempfile.TemporaryDirectory() as folder,
        running_service(settings, log := Path(folder) / "service.log", port, ready="/healthz") as url,
        httpx.Client(trust_env=False, timeout=10.0) as other,
        log.open(encoding="utf-8", errors="replace") as lines,
    ):

        def run(case: bytes) -> None:
            for status in statuses(talk(port, case)):
                assert status < 500 or status in (501, 503, 505), status
            assert other.get(f"{url}/healthz").status_code == 200
            written = lines.read()
            assert "Traceback" not in written, written[-4000:]
            assert "unexpected error" not in written, written[-4000:]

        yield run


def talk(port: int, case: bytes, seconds: float = 20.0) -> bytes:
    """Sends bytes and nothing more, and reads until the other side closes."""
    heard = b""
    connection = socket.create_connection((LOOPBACK, port), timeout=seconds)
    with connection, contextlib.suppress(ConnectionError):
        connection.sendall(case)
        connection.shutdown(socket.SHUT_WR)
        while part := connection.recv(65536):
            heard += part
    return heard


def statuses(heard: bytes) -> list[int]:
    """The statuses of the answers, which are HTTP/1.1 one after the other. Raises AssertionError."""
    found = []
    while heard:
        start, separator, rest = heard.partition(b"\r\n\r\n")
        lines = start.split(b"\r\n")
        assert separator, heard[:200]
        assert lines[0].startswith(b"HTTP/1.1 "), heard[:200]
        status = int(lines[0].split()[1])
        if status >= 200:
            found.append(status)
        headers = {name.lower(): value.strip() for name, _, value in (line.partition(b":") for line in lines[1:])}
        length = int(headers.get(b"content-length", b"0"))
        heard = b"" if b"content-length" not in headers and headers.get(b"connection") == b"close" else rest[length:]
    return found


@contextmanager
def _database() -> Iterator[Database]:
    """A migrated database on a server of its own. Nothing is committed."""
    other = os.environ.get("POSTGRES_BINARIES")
    with LocalPostgres(binaries=Path(other) if other else None) as server:
        migrate(server.dsn())
        with psycopg.connect(server.dsn(), autocommit=True) as connection:
            connection.execute("begin")
            yield Database(connection, server.dsn())
            connection.execute("rollback")


@contextmanager
def _app(database: Database, toss: Callable[[httpx.Request], httpx.Response]) -> Iterator[Callable[..., Any]]:
    """The application on that database, before a Toss that answers so: a function that sends bodies together."""
    store = DatabaseStore(database)
    client = TossClient(
        f"http://{LOOPBACK}:9", [SECRET_KEY], transport=httpx.MockTransport(toss), requests_per_minute=1_000_000
    )
    settings = Settings.load(
        supabase_url=f"http://{LOOPBACK}:9",
        SUPABASE_SECRET_KEY="sb_secret_for_fuzzing_0000000000000001",
        toss_secret_key=SECRET_KEY,
        log_level="ERROR",
    )
    with asyncio.Runner() as runner:

        async def deliver(app: Any, raw: bytes, headers: dict[str, str]) -> httpx.Response:
            async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://service") as http:
                return await http.post("/webhooks/toss", content=raw, headers=headers)

        async def deliver_all(bodies: list[bytes], *, is_signed: bool) -> list[httpx.Response]:
            lookups = Lookups(client)
            # A new one for each case: what it remembers of payments must not depend on the cases before.
            app = create_app(settings, store=store, toss=client, worker=SleepingWorker(store, client, lookups))
            structlog.configure(logger_factory=structlog.ReturnLoggerFactory())
            sent_at = now_with_offset()
            headers = [signed_headers(raw, sent_at=sent_at) if is_signed else {} for raw in bodies]
            return list(await asyncio.gather(*(deliver(app, *pair) for pair in zip(bodies, headers, strict=True))))

        def send(bodies: list[bytes], *, is_signed: bool = True) -> list[httpx.Response]:
            return runner.run(deliver_all(bodies, is_signed=is_signed))

        yield send
        runner.run(client.aclose())


def _nothing(_: httpx.Request) -> httpx.Response:
    return httpx.Response(503)


def _read_back(database: Database, sent_bytes: int) -> None:
    """Everything that people ask for can be answered, and is no longer than what was sent allows."""
    for query in READ_BACK:
        database.rows(query)
    sizes = database.rows(
        "select octet_length(payload::text) + octet_length(coalesce(change::text, '')) as n from webhook_events"
    )
    assert all(row["n"] <= 2 * MAX_GROWTH * (sent_bytes + 1000) for row in sizes), sizes
    for row in database.rows("select last_error from webhook_events where last_error is not null"):
        assert len(row["last_error"]) <= 2000


TARGETS = {
    target.name: target
    for target in (
        Target("signature", cases.signed, signature),
        Target("meaning", cases.bodies, meaning),
        Target("rows", cases.bodies, rows),
        Target("answer", cases.payments, answer),
        Target("head", cases.heads, head),
    )
}
