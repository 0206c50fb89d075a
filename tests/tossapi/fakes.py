"""A Toss that answers what a test tells it to, and the client that asks it."""

import asyncio
import json
from collections.abc import Callable
from typing import Any

import httpx

from supatoss.toss.client import TossClient
from supatoss.toss.keys import ApiKey

URL = "https://api.toss.test"
NEWER_KEY = "test_sk_made_up_newer_0001"
OLDER_KEY = "live_sk_made_up_older_0002"
LIVE_KEY = "live_sk_made_up_0003"
SECRET = "ps_made_up_deposit_secret"
NEWER_BASIC = "Basic dGVzdF9za19tYWRlX3VwX25ld2VyXzAwMDE6"
"""`printf 'test_sk_made_up_newer_0001:' | base64`: with the colon."""

Step = httpx.Response | Exception | Callable[[httpx.Request], httpx.Response]


def payment_body(payment_key: str = "pay-1", order_id: str = "order-1", **more: Any) -> dict[str, Any]:
    return {
        "paymentKey": payment_key,
        "orderId": order_id,
        "status": "DONE",
        "totalAmount": 37400,
        "secret": SECRET,
        "somethingNew": {"of": 2027},
        **more,
    }


def ok(body: object = None) -> httpx.Response:
    return httpx.Response(200, json=payment_body() if body is None else body)


def refusal(status: int, code: str) -> httpx.Response:
    return httpx.Response(status, json={"code": code, "message": "카드 4330****1234 거절 message-of-the-answer"})


class FakeToss(httpx.AsyncBaseTransport):
    """Answers with its steps in order, the last one for ever, `seconds` after it was asked."""

    def __init__(self, *steps: Step, seconds: float = 0.0) -> None:
        self.steps = list(steps) or [ok()]
        self.seconds = seconds
        self.requests: list[httpx.Request] = []
        self.sent_at: list[float] = []
        self.in_flight = self.most_in_flight = 0

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        self.requests.append(request)
        self.sent_at.append(asyncio.get_running_loop().time())
        self.in_flight += 1
        self.most_in_flight = max(self.most_in_flight, self.in_flight)
        try:
            read_timeout = request.extensions["timeout"]["read"]
            await asyncio.sleep(min(self.seconds, read_timeout))
            if self.seconds > read_timeout:
                raise httpx.ReadTimeout("timed out", request=request)
        finally:
            self.in_flight -= 1
        step = self.steps.pop(0) if len(self.steps) > 1 else self.steps[0]
        if isinstance(step, Exception):
            raise step
        if isinstance(step, httpx.Response):
            return httpx.Response(step.status_code, headers=step.headers, content=step.content)
        return step(request)

    @property
    def paths(self) -> list[str]:
        return [request.url.raw_path.decode() for request in self.requests]

    @property
    def bodies(self) -> list[Any]:
        return [json.loads(request.content) for request in self.requests]


class KeyedToss(httpx.AsyncBaseTransport):
    """Answers each key in its own way: with a step, after some seconds."""

    def __init__(self, **answers: tuple[float, Step]) -> None:
        self.by_basic = {ApiKey.of(1, key).authorization: (key, *answer) for key, answer in answers.items()}
        self.asked: list[tuple[str, float]] = []
        """Keys, and when they were used."""

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        key, seconds, step = self.by_basic[request.headers["authorization"]]
        self.asked.append((key, asyncio.get_running_loop().time()))
        return await FakeToss(step, seconds=seconds).handle_async_request(request)


def client(toss: httpx.AsyncBaseTransport, *keys: str, **options: Any) -> TossClient:
    return TossClient(URL, keys or (LIVE_KEY,), transport=toss, **options)
