"""Admission before the application: bounded, closed, aborted."""

import asyncio
import contextlib
from collections.abc import Sequence
from typing import Any

import httpx
import pytest
from starlette.types import ASGIApp, Receive, Scope, Send

from supatoss.server import Admission
from tests.unit.fakes import deliveries_counted

pytestmark = pytest.mark.anyio


class Waiting:
    """An application whose answers wait to be let go."""

    def __init__(self) -> None:
        self.arrived = asyncio.Semaphore(0)
        self.let_go = asyncio.Event()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        self.arrived.release()
        await self.let_go.wait()
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b"stored"})


def client(app: ASGIApp) -> httpx.AsyncClient:
    return httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://admission")


async def answers(tasks: Sequence[asyncio.Task[httpx.Response]]) -> list[tuple[int, str | None]]:
    return [(task.status_code, task.headers.get("connection")) for task in await asyncio.gather(*tasks)]


async def test_one_too_many_is_refused_at_once_and_the_next_one_has_room_again() -> None:
    app = Waiting()
    admission = Admission(app, max_requests=2)
    async with client(admission) as http:
        tasks = [asyncio.create_task(http.post("/", content=b"{}")) for _ in range(2)]
        for _ in tasks:
            await app.arrived.acquire()
        before = deliveries_counted("failed", "too_busy")
        refused = await http.post("/", content=b"{}")
        assert (refused.status_code, refused.headers["retry-after"]) == (503, "5")
        assert deliveries_counted("failed", "too_busy") == before + 1
        app.let_go.set()
        assert await answers(tasks) == [(200, None), (200, None)]
        assert (admission.in_flight, admission.refused) == (0, 1)
        assert (await http.post("/", content=b"{}")).status_code == 200


async def test_a_closed_gate_lets_out_and_not_in() -> None:
    app = Waiting()
    admission = Admission(app)
    async with client(admission) as http:
        task = asyncio.create_task(http.post("/", content=b"{}"))
        await app.arrived.acquire()
        admission.close()
        before = deliveries_counted("failed", "stopping")
        assert (await http.post("/", content=b"{}")).status_code == 503
        assert (await http.get("/readyz")).status_code == 503
        assert deliveries_counted("failed", "stopping") == before + 1
        app.let_go.set()
        assert await answers([task]) == [(200, "close")]


async def test_what_is_in_flight_is_answered_503_when_there_is_no_time() -> None:
    app = Waiting()
    admission = Admission(app)
    async with client(admission) as http:
        tasks = [asyncio.create_task(http.post("/", content=b"{}")) for _ in range(3)]
        for _ in tasks:
            await app.arrived.acquire()
        admission.close()
        admission.abort()
        assert await answers(tasks) == [(503, "close")] * 3
        assert admission.in_flight == 0


async def test_an_answer_that_has_begun_is_not_followed_by_another() -> None:
    begun = asyncio.Event()
    sent: list[Any] = []

    async def app(_scope: Scope, _receive: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": []})
        begun.set()
        await asyncio.Event().wait()

    async def send(message: Any) -> None:
        if sent and message["type"] == "http.response.start":
            raise RuntimeError("uvicorn's own")
        sent.append(message)

    async def receive() -> Any:
        return {"type": "http.request", "body": b"", "more_body": False}

    admission = Admission(app)
    task = asyncio.create_task(admission({"type": "http", "method": "GET"}, receive, send))
    await begun.wait()
    admission.abort()
    await task
    assert [message["type"] for message in sent] == ["http.response.start"]


@pytest.mark.parametrize(
    ("words", "is_quiet"),
    [
        ("unable to perform operation on <TCPTransport closed=True reading=False 0x55>; the handler is closed", True),
        ("Unexpected ASGI message 'http.response.body' sent, without response being started.", False),
    ],
)
async def test_a_client_that_has_gone_is_no_error(words: str, *, is_quiet: bool) -> None:
    app = Waiting()
    app.let_go.set()

    async def send(_message: object) -> None:
        raise RuntimeError(words)

    async def receive() -> dict[str, Any]:
        return {"type": "http.disconnect"}

    answered = Admission(app)({"type": "http", "method": "POST", "path": "/"}, receive, send)
    with contextlib.nullcontext() if is_quiet else pytest.raises(RuntimeError, match="Unexpected"):
        await answered
