"""At whose expense unsigned deliveries are looked up, and what strangers can learn from the answers."""

import asyncio
from collections import Counter
from typing import Any

import httpx
import pytest

from supatoss.addresses import parse_address, sender_of
from supatoss.errors import TossNotFound, TossThrottled
from supatoss.inbox import budget
from supatoss.store.recording import KnownKeys
from supatoss.toss.addresses import PUBLISHED
from supatoss.toss.client import TossClient
from supatoss.toss.models import Payment, PaymentAnswer
from supatoss.toss.ratelimit import ALONE, STRANGER, Purpose
from tests.support import example, raw_body
from tests.unit.fakes import Service
from tests.unit.test_verify import ASKED_AT

pytestmark = pytest.mark.anyio

HEADER = "Fly-Client-IP"
QUEUE = STRANGER.in_flight * budget.QUEUE_PER_PLACE
TOSS_ADDRESS = "13.124.18.147"
STRANGER_ADDRESS = "198.51.100.7"
NOTHING = KnownKeys((), frozenset(), None, holds_billing_key=False, cancel_payment_key=None)


class CountingToss(TossClient):
    """Knows the payment of every order that begins with `paid`; counts who asked. `held`: until it is set."""

    keys = ()

    def __init__(self) -> None:
        self.asked: list[tuple[str, str]] = []
        self.throttled: set[str] = set()
        self.held: asyncio.Event | None = None

    async def payment(self, payment_key: str, *, purpose: Purpose = ALONE, **_options: Any) -> PaymentAnswer:
        return await self._answer(payment_key, purpose)

    async def payment_by_order(self, order_id: str, *, purpose: Purpose = ALONE, **_options: Any) -> PaymentAnswer:
        return await self._answer(order_id, purpose)

    async def _answer(self, name: str, purpose: Purpose) -> PaymentAnswer:
        self.asked.append((purpose.name, name))
        if purpose.name in self.throttled:
            raise TossThrottled("payment", "rate limit", http_status=429, retry_after_seconds=60)
        if self.held is not None:
            await self.held.wait()
        if not name.startswith("paid"):
            raise TossNotFound("payment", code="NOT_FOUND_PAYMENT")
        fields = {
            "paymentKey": name,
            "orderId": name,
            "status": "DONE",
            "totalAmount": 9900,
            "balanceAmount": 9900,
            "secret": "ps_real",
        }
        return PaymentAnswer(ASKED_AT, fields, Payment.model_validate(fields))

    @property
    def purposes(self) -> Counter[str]:
        return Counter(purpose for purpose, _ in self.asked)


def service_of(toss: CountingToss, *orders: str, **settings: Any) -> Service:
    service = Service(toss, client_ip_header=HEADER, **settings)
    service.store.orders = frozenset(orders)
    return service


def body_of(payment_key: str, order_id: str | None = None) -> bytes:
    data = {"paymentKey": payment_key, "orderId": order_id or payment_key, "status": "DONE"}
    return raw_body({"eventType": "PAYMENT_STATUS_CHANGED", "data": data})


def deposit_of(order_id: str, **more: Any) -> bytes:
    return raw_body({**example("deposit_callback_done").body, "orderId": order_id, **more})


async def send(service: Service, body: bytes, address: str = STRANGER_ADDRESS) -> httpx.Response:
    return await service.send(body, {HEADER: address})


def others(number: int) -> str:
    """An address of its own."""
    return f"198.18.{number // 250}.{number % 250}"


async def settle_down() -> None:
    """Lets every task run until it waits."""
    for _ in range(200):
        await asyncio.sleep(0)


async def use_up(service: Service, count: int) -> None:
    """So many forged deliveries, each from another address and about another payment."""
    for number in range(count):
        assert (await send(service, body_of(f"forged-{number}"), others(number))).status_code == 401


# -- shares


async def test_what_strangers_have_used_up_is_kept_for_toss_and_for_known_orders() -> None:
    toss = CountingToss()
    service = service_of(toss, "paid-known", unsigned_lookups_per_minute=20)
    await use_up(service, 20)
    refused = await send(service, body_of("paid-1"), others(100))
    assert (refused.status_code, refused.headers["retry-after"]) == (503, "60")
    assert (await send(service, body_of("paid-known"), others(101))).status_code == 200
    assert (await send(service, body_of("paid-2"), TOSS_ADDRESS)).status_code == 200
    assert toss.purposes == {"stranger": 20, "known": 1, "toss": 1}


async def test_addresses_that_may_deliver_count_as_toss_s() -> None:
    toss = CountingToss()
    service = service_of(toss, toss_allowed_ips="198.18.0.0/16")
    assert (await send(service, body_of("paid-1"), others(1))).status_code == 200
    assert toss.purposes == {"toss": 1}


async def test_one_address_has_a_part_of_what_strangers_have() -> None:
    toss = CountingToss()
    service = service_of(toss)
    answers = [(await send(service, body_of(f"forged-{n}"))).status_code for n in range(40)]
    assert Counter(answers) == {401: budget.STRANGERS_PER_ADDRESS, 503: 40 - budget.STRANGERS_PER_ADDRESS}
    assert (await send(service, body_of("paid-1"), others(1))).status_code == 200


async def test_a_subscriber_s_ipv6_addresses_are_one() -> None:
    service = service_of(CountingToss())
    answers = [(await send(service, body_of(f"f-{n}"), f"2001:db8:1:2::{n:x}")).status_code for n in range(40)]
    assert Counter(answers) == {401: 30, 503: 10}
    assert (await send(service, body_of("paid-1"), "2001:db8:1:3::1")).status_code == 200


async def test_behind_a_proxy_without_its_header_everybody_has_an_address_of_their_own() -> None:
    service = Service(CountingToss())
    answers = {(await service.send(body_of(f"forged-{n}"))).status_code for n in range(60)}
    assert answers == {401}


async def test_a_payment_and_an_order_have_a_part_of_each_share() -> None:
    toss = CountingToss()
    service = service_of(toss, "paid-1")
    answers = [(await send(service, body_of("paid-1"), others(n))).status_code for n in range(30)]
    assert Counter(answers) == {200: 2 * budget.PER_SUBJECT, 503: 30 - 2 * budget.PER_SUBJECT}
    assert toss.purposes == {"stranger": 10, "known": 10}
    made_up = [(await send(service, body_of(f"made-up-{n}", "paid-1"), others(n))).status_code for n in range(9)]
    assert set(made_up) == {401}, "strangers' share"
    assert toss.purposes["known"] == 10, "whatever payment keys are named for a known order"


async def test_a_known_order_does_not_wait_behind_strangers() -> None:
    toss = CountingToss()
    service = service_of(toss, "paid-known")
    toss.held = asyncio.Event()
    flood = [asyncio.create_task(send(service, body_of(f"forged-{n}"), others(n))) for n in range(QUEUE + 5)]
    await settle_down()
    assert toss.purposes == {"stranger": QUEUE}
    known = asyncio.create_task(send(service, body_of("paid-known"), others(100)))
    await settle_down()
    assert toss.purposes["known"] == 1
    toss.held.set()
    assert (await known).status_code == 200
    assert Counter(answer.status_code for answer in await asyncio.gather(*flood)) == {401: QUEUE, 503: 5}


async def test_a_known_order_is_no_stranger_as_soon_as_strangers_have_to_wait() -> None:
    toss = CountingToss()
    service = service_of(toss, "paid-known")
    toss.held = asyncio.Event()
    names = [f"forged-{n}" for n in range(STRANGER.in_flight)] + ["paid-known", "paid-1"]
    sent = []
    for number, name in enumerate(names):
        sent.append(asyncio.create_task(send(service, body_of(name), others(number))))
        await settle_down()
    assert toss.purposes == {"stranger": STRANGER.in_flight + 1, "known": 1}
    toss.held.set()
    assert [answer.status_code for answer in await asyncio.gather(*sent)][-2:] == [200, 200]


async def test_known_orders_of_one_sender_do_not_fill_the_queue() -> None:
    toss = CountingToss()
    service = service_of(toss, "own", "paid-known", unsigned_lookups_per_minute=1)
    await use_up(service, 1)
    toss.held = asyncio.Event()
    flood = [asyncio.create_task(send(service, body_of(f"made-up-{n}", "own"), others(n))) for n in range(100)]
    await settle_down()
    assert toss.purposes["known"] == budget.KNOWN_AT_ONCE
    known = asyncio.create_task(send(service, body_of("paid-known"), others(100)))
    await settle_down()
    toss.held.set()
    assert (await known).status_code == 200
    assert {answer.status_code for answer in await asyncio.gather(*flood)} == {503}


async def test_a_stranger_s_429_does_not_stop_a_known_order() -> None:
    toss = CountingToss()
    toss.throttled = {"stranger"}
    service = service_of(toss, "paid-known")
    assert (await send(service, body_of("paid-known"))).status_code == 200
    assert (await send(service, body_of("paid-1"))).status_code == 503
    toss.throttled = {"stranger", "known"}
    assert (await send(service, body_of("paid-known"))).status_code == 503
    assert (await send(service, body_of("paid-1"), TOSS_ADDRESS)).status_code == 200


async def test_tables_that_cannot_be_asked_know_nothing() -> None:
    toss = CountingToss()
    service = service_of(toss, "paid-known", unsigned_lookups_per_minute=1)
    await use_up(service, 1)
    service.store.hangs = True
    assert (await send(service, body_of("paid-known"), others(1))).status_code == 503
    assert toss.purposes == {"stranger": 1}


async def test_many_orders_are_one_call() -> None:
    toss = CountingToss()
    service = service_of(toss, *(f"paid-{n}" for n in range(10)), unsigned_lookups_per_minute=1)
    await use_up(service, 1)
    answers = await asyncio.gather(*(send(service, body_of(f"paid-{n}"), others(n)) for n in range(20)))
    assert Counter(answer.status_code for answer in answers) == {200: 10, 503: 10}
    assert service.store.asked_for_orders <= 2


# -- what Toss doesn't know


async def test_a_payment_that_toss_does_not_know_is_not_asked_about_again_by_strangers() -> None:
    toss = CountingToss()
    service = service_of(toss)
    for number in range(3):
        assert (await send(service, body_of("forged"), others(number))).status_code == 401
    assert len(toss.asked) == 1
    assert (await send(service, body_of("forged"), TOSS_ADDRESS)).status_code == 401
    assert len(toss.asked) == 2


async def test_what_toss_came_to_know_is_believed_at_once() -> None:
    toss = CountingToss()
    service = service_of(toss)
    budget_of = service.app._webhook.verifier._budget  # type: ignore[attr-defined]
    budget_of._unknown.note("paid-1")
    assert (await send(service, body_of("paid-1"))).status_code == 401
    assert (await send(service, body_of("paid-1"), TOSS_ADDRESS)).status_code == 200
    assert (await send(service, body_of("paid-1"))).status_code == 200


# -- refusals are loud, and few


async def test_refusals_are_counted_and_logged_together() -> None:
    service = service_of(CountingToss(), unsigned_lookups_per_minute=1)
    await use_up(service, 1)
    lines = service.log_output()
    for number in range(20):
        assert (await send(service, body_of(f"x-{number}"), others(number))).status_code == 503
    (line,) = lines()
    assert (line["event"], line["refused"]) == ("unsigned deliveries not looked up: too many", 1)
    assert service.store.noted == []


# -- what a stranger learns


async def learn(service: Service, toss: CountingToss, body: bytes) -> tuple[Any, ...]:
    """All that a sender sees of an answer, and the calls that were made for it, which is what its time is made of."""
    toss.asked.clear()
    calls = service.store.calls
    answer = await send(service, body, others(7))
    headers = {name: value for name, value in answer.headers.items() if name != "date"}
    return answer.status_code, answer.content, headers, len(toss.asked), service.store.calls - calls


GUESSES = {
    "deposit with a made-up secret": lambda order: deposit_of(order, secret="ps_guess"),
    "deposit without a secret": lambda order: deposit_of(order, secret=None),
    "deposit of another status": lambda order: deposit_of(order, secret="ps_guess", status="CANCELED"),
    "payment without its key": lambda order: raw_body(
        {"eventType": "PAYMENT_STATUS_CHANGED", "data": {"orderId": order, "status": "DONE", "totalAmount": 9900}}
    ),
    "payment with a made-up key": lambda order: body_of("guess", order),
    "account without its key": lambda order: raw_body(
        {"eventType": "VIRTUAL_ACCOUNT_ISSUED", "data": {"orderId": order, "totalAmount": 9900}}
    ),
}


def keys_of(order: str, payment_key: str) -> KnownKeys:
    """What the tables have of an order that is paid, or only stored."""
    paid = (payment_key,) if order.startswith("paid") else ()
    return KnownKeys(paid, frozenset(paid), payment_key, holds_billing_key=False, cancel_payment_key=None)


@pytest.mark.parametrize("is_used_up", [False, True], ids=["in peace", "used up"])
@pytest.mark.parametrize("guess", GUESSES)
@pytest.mark.parametrize(("order", "payment_key"), [("paid-1", "paid-1"), ("stored-1", "placeholder-1")])
async def test_who_guesses_an_order_learns_nothing(
    guess: str, order: str, payment_key: str, *, is_used_up: bool
) -> None:
    seen = []
    for guessed in (order, "nobody-s"):
        toss = CountingToss()
        service = service_of(toss, order, unsigned_lookups_per_minute=1 if is_used_up else 300)
        if guessed == order:
            service.store.known = keys_of(order, payment_key)
        if is_used_up:
            await use_up(service, 1)
        seen.append(await learn(service, toss, GUESSES[guess](guessed)))
    there, nowhere = seen
    assert there[:3] == nowhere[:3]
    # Used up, the look-up itself is what a genuine delivery about a known order would be lost without.
    assert is_used_up or there == nowhere


@pytest.mark.parametrize(("secret", "status"), [("ps_real", 200), ("ps_guess", 401)])
async def test_a_deposit_needs_the_secret_of_its_payment(secret: str, status: int) -> None:
    assert (await send(service_of(CountingToss()), deposit_of("paid-1", secret=secret))).status_code == status


async def test_a_cancel_needs_its_transaction() -> None:
    """A request id is the merchant's own, and may be guessed."""
    toss = CountingToss()
    service = service_of(toss)

    body = example("cancel_status_changed_done").body
    known = KnownKeys((), frozenset(), None, holds_billing_key=False, cancel_payment_key="paid-1")

    async def by_request_only(**subjects: str | None) -> KnownKeys:
        return known if subjects.get("cancel_request") else NOTHING

    service.store.read_known_keys = by_request_only  # type: ignore[method-assign]
    assert (await send(service, raw_body(body))).status_code == 401
    assert (service.store.records, toss.purposes) == ({}, {"stranger": 1})


# -- addresses


@pytest.mark.parametrize(
    ("text", "sender"),
    [
        ("198.51.100.7", "198.51.100.7"),
        ("::ffff:198.51.100.7", "198.51.100.7"),
        ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64"),
        *((address, None) for address in ("127.0.0.1", "10.1.2.3", "::1", "fdaa::1", "172.20.0.1", "", "x", "1.2.3")),
    ],
)
def test_whose_an_address_is(text: str, sender: str | None) -> None:
    assert sender_of(parse_address(text)) == sender


def test_the_published_addresses_are_ten() -> None:
    assert len(set(PUBLISHED)) == 10
