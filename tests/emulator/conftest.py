"""An emulator inside the test's own process, its webhooks caught before they reach a network."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any

import httpx
import pytest

from scripts.emulator.app import Emulator
from scripts.emulator.options import Options
from tests.support import OLDER_SECURITY_KEY, SECRET_KEY, SECURITY_KEY

URL = "http://shop.test/webhooks/toss"
PATIENCE_SECONDS = 10.0
POLL_SECONDS = 0.001

Answer = Callable[[httpx.Request], Awaitable[httpx.Response]]


@dataclass
class Receiver:
    """The shop's webhook URL: keeps every request and answers 200, or what `answers` says next."""

    requests: list[httpx.Request] = field(default_factory=list)
    answers: list[int | Exception | Answer] = field(default_factory=list)

    async def __call__(self, request: httpx.Request) -> httpx.Response:
        self.requests.append(request)
        answer = self.answers.pop(0) if self.answers else 200
        if isinstance(answer, Exception):
            raise answer
        return httpx.Response(answer) if isinstance(answer, int) else await answer(request)


@dataclass
class Play:
    """A running emulator with a shop that calls it and receives its webhooks."""

    emulator: Emulator
    receiver: Receiver
    http: httpx.AsyncClient

    async def api(self, method: str, path: str, body: object = None, **options: Any) -> httpx.Response:
        content: dict[str, Any] = {} if body is None else {"json": body}
        return await self.http.request(method, f"/v1/{path}", **{"auth": (SECRET_KEY, "")} | content | options)

    async def do(self, path: str, body: object = None, status: int | None = None, method: str = "POST") -> Any:
        """A step of the story, which succeeds unless a status is expected."""
        content: dict[str, Any] = {} if body is None else {"json": body}
        response = await self.http.request(method, f"/emulator/{path}".rstrip("/"), **content)
        assert response.status_code == status if status else response.is_success, response.text
        return response.json()

    async def see(self, path: str) -> Any:
        return await self.do(path, method="GET")

    async def pay(self, order_id: str = "ord-000001", amount: Any = 10000, **more: Any) -> dict[str, Any]:
        """A payment that its buyer authenticated."""
        made: dict[str, Any] = await self.do("payments", {"orderId": order_id, "amount": amount, **more})
        return made

    async def confirm(self, payment: dict[str, Any], **more: Any) -> httpx.Response:
        body = {"paymentKey": payment["paymentKey"], "orderId": payment["orderId"], "amount": payment["totalAmount"]}
        return await self.api("POST", "payments/confirm", {**body, **more})

    async def step(self, payment: dict[str, Any], name: str, body: object = None, status: int | None = None) -> Any:
        return await self.do(f"payments/{payment['paymentKey']}/{name}", body, status)

    async def told(self, count: int) -> list[httpx.Request]:
        """Waits until nothing is under way, and takes the webhooks: so many."""
        await until(lambda: not self.emulator.webhooks.sending_count)
        requests = self.receiver.requests[:]
        self.receiver.requests.clear()
        assert len(requests) == count, [request.content for request in requests]
        return requests


Start = Callable[..., Play]


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(PATIENCE_SECONDS):
        while not condition():  # noqa: ASYNC110  what is waited for is a state, and who changes it sets no event
            await asyncio.sleep(POLL_SECONDS)


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture
async def start() -> AsyncIterator[Start]:
    """Starts emulators with options of the test's own."""
    plays: list[Play] = []

    def begin(**options: Any) -> Play:
        chosen: dict[str, Any] = {
            "secret_keys": [SECRET_KEY],
            "security_keys": [SECURITY_KEY, OLDER_SECURITY_KEY],
            "webhook_urls": [URL],
            "minute_seconds": 0.000001,
        }
        receiver = Receiver()
        emulator = Emulator(Options(**{**chosen, **options}), httpx.MockTransport(receiver))
        http = httpx.AsyncClient(transport=httpx.ASGITransport(emulator.app), base_url="http://toss.test")
        plays.append(Play(emulator, receiver, http))
        return plays[-1]

    yield begin
    for play in plays:
        await play.http.aclose()
        await play.emulator.close()


@pytest.fixture
async def play(start: Start) -> Play:
    return start()
