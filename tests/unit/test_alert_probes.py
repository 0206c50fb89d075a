"""What a process knows of its keys and of Toss without traffic."""

from collections import Counter

import httpx
import pytest

from supatoss.alerts.local import PROBE_SECONDS, KeyProbe
from supatoss.toss.client import TossClient

pytestmark = pytest.mark.anyio

REFUSED = (401, "UNAUTHORIZED_KEY")
UNKNOWN = (404, "NOT_FOUND_PAYMENT")
ODD = (400, "SOMETHING_NEW")


class Toss:
    """Answers each key as it is told to; None: not at all."""

    def __init__(self, *keys: str) -> None:
        self.now = 1000.0
        self.answers: dict[str, tuple[int, str] | None] = dict.fromkeys(keys, UNKNOWN)
        self.asked: Counter[str] = Counter()
        self.paths: set[str] = set()
        client = TossClient("https://api.example.com", keys, transport=httpx.MockTransport(self._answer))
        self.by_header = {key.authorization: name for key, name in zip(client.keys, keys, strict=True)}
        self.probe = KeyProbe(client, lambda: self.now)

    def _answer(self, request: httpx.Request) -> httpx.Response:
        key = self.by_header[request.headers["authorization"]]
        self.asked[key] += 1
        self.paths.add(request.url.path)
        if (answer := self.answers[key]) is None:
            raise httpx.ReadTimeout("away", request=request)
        return httpx.Response(answer[0], json={"code": answer[1], "message": "-"})

    async def violated(self) -> dict[tuple[str, str], dict[str, object]]:
        opinions = await self.probe.look()
        return {(opinion.rule.value, opinion.subject): opinion.details for opinion in opinions if opinion.details}


async def test_well_keys_are_looked_at_every_ten_minutes_with_an_order_that_cannot_exist() -> None:
    toss = Toss("test_sk_aaaa", "test_sk_bbbb")
    for _ in range(11):
        assert await toss.violated() == {}
        toss.now += 60
    assert toss.asked == {"test_sk_aaaa": 2, "test_sk_bbbb": 2}
    assert len(toss.paths) == 4
    assert all(path.startswith("/v1/payments/orders/supatoss-probe-") for path in toss.paths)


async def test_a_refused_key_is_named_and_no_obstacle_for_the_others() -> None:
    toss = Toss("test_sk_aaaa", "test_sk_bbbb")
    toss.answers["test_sk_bbbb"] = REFUSED
    refusal = {("key_refused", "key 2 (…bbbb)"): {"code": "UNAUTHORIZED_KEY"}}
    assert await toss.violated() == refusal
    toss.now += 60  # with trouble, every look asks
    toss.answers["test_sk_bbbb"] = None  # no news of the refusal
    assert await toss.violated() == refusal
    toss.answers["test_sk_bbbb"] = ODD
    toss.now += 60
    assert await toss.violated() == {}


async def test_toss_is_away_after_three_minutes_for_the_keys_that_it_does_not_answer() -> None:
    toss = Toss("test_sk_aaaa", "test_sk_bbbb")
    toss.answers["test_sk_bbbb"] = None
    for _ in range(3):
        assert await toss.violated() == {}
        toss.now += 60
    away = {
        "keys": "key 2 (…bbbb)",
        "minutes": 3,
        "problem": "Toss, payment_by_order: no answer: TOSS_API_URL took too long to answer",
    }
    assert await toss.violated() == {("toss_away", ""): away}
    toss.answers["test_sk_bbbb"] = UNKNOWN
    toss.now += 60
    assert await toss.violated() == {}
    asked = toss.asked.copy()
    toss.now += PROBE_SECONDS - 1
    assert await toss.violated() == {}
    assert toss.asked == asked
