"""The worker: what becomes of an event that waits for Toss."""

import datetime as dt
import json
from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import Any

import pytest

from supatoss.errors import StoreUnavailable, TossMisconfigured, TossNotFound, TossRefused, TossUnavailable
from supatoss.inbox.attempt import DISAGREEMENT_SECONDS, MAX_ATTEMPTS
from supatoss.inbox.lookups import Lookups
from supatoss.inbox.worker import Worker
from supatoss.store.recording import ClaimedEvent, FinishedEvent, KnownKeys, OverdueAccount
from supatoss.toss.client import TossClient
from supatoss.toss.models import Payment, PaymentAnswer
from tests.unit.fakes import MemoryStore

pytestmark = pytest.mark.anyio

ASKED_AT = dt.datetime(2026, 4, 2, 5, 22, 11, tzinfo=dt.UTC)


def answer(status: str = "DONE", **fields: Any) -> PaymentAnswer:
    payment = {"paymentKey": "key-1", "orderId": "order-1", "status": status, "totalAmount": 9900, **fields}
    return PaymentAnswer(ASKED_AT, payment, Payment.model_validate(payment))


class Scripted(TossClient):
    """Gives its look-ups and confirmations in turn."""

    keys = ()

    def __init__(self, *look_ups: PaymentAnswer | Exception, confirm: PaymentAnswer | Exception | None = None) -> None:
        self.look_ups = list(look_ups)
        self.confirmation = confirm
        self.asked: list[str] = []
        self.confirmed: list[tuple[str, str, Decimal, str]] = []

    async def payment(self, payment_key: str, **_options: Any) -> PaymentAnswer:
        self.asked.append(payment_key)
        return self._give(self.look_ups.pop(0))

    async def payment_by_order(self, order_id: str, **_options: Any) -> PaymentAnswer:
        return await self.payment(order_id)

    async def confirm(
        self,
        payment_key: str,
        order_id: str,
        amount: Decimal,
        *,
        idempotency_key: str,
        **_options: Any,
    ) -> PaymentAnswer:
        self.confirmed.append((payment_key, order_id, amount, idempotency_key))
        assert self.confirmation is not None
        return self._give(self.confirmation)

    def _give(self, item: PaymentAnswer | Exception) -> PaymentAnswer:
        if isinstance(item, Exception):
            raise item
        return item


class Queue(MemoryStore):
    """Hands out its events once, and remembers the results."""

    def __init__(self, *events: ClaimedEvent, overdue: Sequence[OverdueAccount] = ()) -> None:
        super().__init__()
        self.events = list(events)
        self.overdue = list(overdue)
        self.results: list[Mapping[str, Any]] = []

    async def claim_events(self, max_events: int, lease_seconds: int) -> list[ClaimedEvent]:
        await self._misbehave()
        claimed, self.events = self.events[:max_events], self.events[max_events:]
        return claimed

    async def finish_event(self, attempt: str) -> FinishedEvent:
        fields = json.loads(attempt)
        self.results.append(fields)
        return FinishedEvent("finished", fields["status"], fields["reason"])

    async def overdue_accounts(self, max_accounts: int) -> list[OverdueAccount]:
        return self.overdue[:max_accounts]


def event(**fields: Any) -> ClaimedEvent:
    base: dict[str, Any] = {
        "id": "event-1",
        "lease": "lease-1",
        "event_key": "e" * 64,
        "event_type": "VIRTUAL_ACCOUNT_DEPOSIT",
        "reason": "check_deposit",
        "attempts": 1,
        "payment_key": "key-1",
        "order_id": "order-1",
        "proof": "signature",
        "last_error": None,
        "cancel_key": None,
        "cancel_request": None,
        "amount": "9900",
        "claim": {"status": "DONE", "secret_digest": None, "cancels": [], "created_at": None},
        "waited_seconds": 1.0,
    }
    return ClaimedEvent(**base | fields)


def make_worker(store: Queue, toss: TossClient) -> Worker:
    return Worker(store, toss, Lookups(toss))


async def finish(toss: Scripted, claimed: ClaimedEvent) -> Mapping[str, Any]:
    store = Queue(claimed)
    assert await make_worker(store, toss).work_once() == 1
    (result,) = store.results
    assert (result["event"], result["lease"]) == (claimed.id, claimed.lease)
    return result


async def test_a_deposit_that_toss_bears_out_is_processed_with_toss_s_words() -> None:
    result = await finish(Scripted(answer()), event())
    assert result["status"] == "processed"
    assert result["occurred_at"] == ASKED_AT.isoformat()
    assert (result["change"]["status"], result["change"]["amount"]) == ("DONE", "9900")


async def test_a_payment_that_needs_approval_is_approved_with_the_stored_amount() -> None:
    toss = Scripted(answer("IN_PROGRESS"), confirm=answer())
    result = await finish(toss, event())
    assert toss.confirmed == [("key-1", "order-1", Decimal(9900), f"supatoss-confirm-{'e' * 64}")]
    assert result["status"] == "processed"


async def test_an_approval_that_was_done_before_is_looked_up() -> None:
    refused = TossRefused("confirm", code="ALREADY_PROCESSED_PAYMENT", http_status=400)
    toss = Scripted(answer("IN_PROGRESS"), answer(), confirm=refused)
    assert (await finish(toss, event()))["status"] == "processed"
    assert toss.asked == ["key-1", "key-1"]


async def test_an_approval_that_was_done_before_and_does_not_show_yet_waits() -> None:
    refused = TossRefused("confirm", code="ALREADY_PROCESSED_PAYMENT", http_status=400)
    toss = Scripted(answer("IN_PROGRESS"), answer("IN_PROGRESS"), confirm=refused)
    result = await finish(toss, event())
    assert (result["status"], result["last_error"]) == ("pending", "the delivery says DONE, Toss shows IN_PROGRESS")


async def test_only_the_payment_that_was_named_is_approved() -> None:
    toss = Scripted(answer("IN_PROGRESS", paymentKey="another"))
    result = await finish(toss, event(payment_key=None))
    assert (toss.confirmed, result["status"]) == ([], "pending")


@pytest.mark.parametrize(
    ("shown", "end"), [("WAITING_FOR_DEPOSIT", "ignored"), ("EXPIRED", "ignored"), ("READY", "failed")]
)
async def test_a_signed_deposit_that_toss_never_shows_ends_after_the_last_attempt(shown: str, end: str) -> None:
    result = await finish(Scripted(answer(shown)), event())
    assert (result["status"], result.get("change")) == ("pending", None)
    last = await finish(Scripted(answer(shown)), event(attempts=MAX_ATTEMPTS))
    assert (last["status"], last["reason"]) == (end, "not_borne_out")


def disagreement(**fields: Any) -> ClaimedEvent:
    return event(event_type="PAYMENT_STATUS_CHANGED", reason="toss_disagrees", proof="toss_api", **fields)


async def test_what_toss_shows_later_is_recorded_as_the_event_that_the_delivery_makes() -> None:
    store = Queue(disagreement())
    await make_worker(store, Scripted(answer("DONE"))).work_once()
    (record,) = store.records.values()
    assert (record["event_type"], record["proof"]) == ("PAYMENT_STATUS_CHANGED", "toss_api")
    assert (record["change"]["status"], record["is_observation"]) == ("DONE", True)
    assert [(result["status"], "change" in result) for result in store.results] == [("processed", False)]


async def test_a_made_up_claim_does_not_keep_a_real_cancel_away() -> None:
    claim: dict[str, Any] = {
        "status": "PARTIAL_CANCELED",
        "secret_digest": None,
        "cancels": ["made-up"],
        "created_at": None,
    }
    store = Queue(disagreement(claim=claim))
    shown = answer("PARTIAL_CANCELED", cancels=[{"transactionKey": "t1"}, {"transactionKey": "t2"}])
    await make_worker(store, Scripted(shown)).work_once()
    (record,) = store.records.values()
    assert [cancel["transactionKey"] for cancel in record["change"]["cancels"]] == ["t1", "t2"]
    assert [result["status"] for result in store.results] == ["pending"]


@pytest.mark.parametrize("status", ["WAITING_FOR_DEPOSIT", "IN_PROGRESS"])
async def test_toss_is_asked_for_a_day_and_then_it_was_not_so(status: str) -> None:
    toss = Scripted(answer(status))
    first = await finish(toss, disagreement())
    assert (first["status"], 15 <= first["delay_seconds"] <= 30) == ("pending", True)
    assert toss.confirmed == []  # nothing that nobody signed approves a payment
    late = await finish(Scripted(answer(status)), disagreement(attempts=40))
    assert (late["status"], 3600 <= late["delay_seconds"] <= 7200) == ("pending", True)
    end = await finish(Scripted(answer(status)), disagreement(attempts=20, waited_seconds=DISAGREEMENT_SECONDS))
    assert (end["status"], end["reason"]) == ("ignored", "not_borne_out")


async def test_an_approval_of_unknown_outcome_is_looked_up_in_the_next_attempt() -> None:
    toss = Scripted(answer("IN_PROGRESS"), confirm=TossUnavailable("confirm", http_status=500))
    result = await finish(toss, event())
    assert (result["status"], result["delay_seconds"] > 0) == ("pending", True)


@pytest.mark.parametrize(
    ("last_error", "key"),
    [
        (str(TossUnavailable("confirm", "no answer in time")), f"supatoss-confirm-{'e' * 64}"),
        (str(TossUnavailable("confirm", code="COMMON_ERROR", http_status=500)), f"supatoss-confirm-{'e' * 64}"),
        (
            str(TossUnavailable("confirm", code="PROVIDER_ERROR", http_status=400)),
            f"supatoss-confirm-{'e' * 64}-lease-1",
        ),
        (str(TossUnavailable("payment", code="X", http_status=429)), f"supatoss-confirm-{'e' * 64}"),
    ],
)
async def test_toss_s_stored_refusal_is_not_asked_for_again(last_error: str, key: str) -> None:
    toss = Scripted(answer("IN_PROGRESS"), confirm=answer())
    await finish(toss, event(attempts=3, last_error=last_error))
    assert toss.confirmed[0][3] == key


@pytest.mark.parametrize(
    ("fields", "reason"), [({"amount": "9000"}, "approval_amount_mismatch"), ({"amount": None}, "no_stored_amount")]
)
async def test_nothing_is_approved_with_an_amount_that_is_not_stored(fields: dict[str, Any], reason: str) -> None:
    toss = Scripted(answer("IN_PROGRESS"))
    result = await finish(toss, event(**fields))
    assert (result["status"], result["reason"]) == ("failed", reason)
    assert toss.confirmed == []


@pytest.mark.parametrize(
    "error",
    [
        TossUnavailable("payment", "no answer"),
        TossNotFound("payment", "the event's payment is not known yet"),
        TossMisconfigured("payment", code="UNAUTHORIZED_KEY"),
        TossRefused("payment", code="FORBIDDEN"),
    ],
    ids=lambda error: type(error).__name__,
)
async def test_an_error_is_tried_again_and_fails_after_the_last_attempt(error: Exception) -> None:
    result = await finish(Scripted(error), event())
    assert (result["status"], result["last_error"]) == ("pending", str(error))
    assert 2.5 <= result["delay_seconds"] <= 5
    last = await finish(Scripted(error), event(attempts=MAX_ATTEMPTS))
    assert (last["status"], last["last_error"]) == ("failed", str(error))


async def test_toss_s_wish_to_wait_is_kept() -> None:
    error = TossUnavailable("payment", http_status=429, retry_after_seconds=60)
    assert (await finish(Scripted(error), event()))["delay_seconds"] == 60


async def test_a_cancel_is_found_by_the_payment_that_has_it() -> None:
    toss = Scripted(answer("CANCELED"))
    store = Queue(event(reason="find_payment", payment_key=None, order_id=None, cancel_key="t-1"))
    store.known = KnownKeys((), frozenset(), None, holds_billing_key=False, cancel_payment_key="key-1")
    await make_worker(store, toss).work_once()
    assert toss.asked == ["key-1"]
    assert store.results[0]["order_id"] == "order-1"


async def test_a_cancel_of_an_unknown_payment_waits() -> None:
    result = await finish(Scripted(), event(payment_key=None, order_id=None, cancel_key="t-1"))
    assert result["status"] == "pending"


async def test_a_callback_never_takes_the_answer_about_another_attempt() -> None:
    claim: dict[str, Any] = {"status": "DONE", "secret_digest": "5" * 64, "cancels": [], "created_at": None}
    for attempts, status in ((1, "pending"), (MAX_ATTEMPTS, "failed")):
        claimed = event(event_type="DEPOSIT_CALLBACK", payment_key=None, claim=claim, attempts=attempts)
        result = await finish(Scripted(answer(secret="ps_of_another")), claimed)
        assert (result["status"], result.get("change")) == (status, None)


async def test_one_event_s_defect_is_its_own() -> None:
    store = Queue(event(id="event-1"), event(id="event-2", payment_key="key-2"))
    assert await make_worker(store, Scripted(RuntimeError("a defect"), answer())).work_once() == 2
    assert [result["event"] for result in store.results] == ["event-2"]


async def test_an_overdue_account_that_toss_shows_as_expired_is_recorded() -> None:
    overdue = OverdueAccount("key-1", "order-1", "2026-04-08T00:00:00+00:00")
    store = Queue(overdue=[overdue])
    account = {"accountNumber": "X1", "expired": True}
    assert await make_worker(store, Scripted(answer("WAITING_FOR_DEPOSIT", virtualAccount=account))).sweep() == 1
    (record,) = store.records.values()
    assert (record["event_type"], record["proof"]) == ("supatoss.account_expired", "toss_api")
    assert (record["change"]["status"], record["order_id"]) == ("EXPIRED", "order-1")


async def test_an_overdue_account_that_still_waits_takes_no_later_deposit_back() -> None:
    store = Queue(overdue=[OverdueAccount("key-1", "order-1", "2026-04-08T00:00:00+00:00")])
    waiting = answer("WAITING_FOR_DEPOSIT", virtualAccount={"accountNumber": "X1", "expired": False})
    assert await make_worker(store, Scripted(waiting)).sweep() == 1
    (record,) = store.records.values()
    assert (record["change"]["status"], record["change"]["is_first"]) == ("WAITING_FOR_DEPOSIT", True)


async def test_an_overdue_account_that_was_paid_meanwhile_is_recorded_as_paid() -> None:
    store = Queue(overdue=[OverdueAccount("key-1", "order-1", "2026-04-08T00:00:00+00:00")])
    await make_worker(store, Scripted(answer("DONE"))).sweep()
    (record,) = store.records.values()
    assert (record["event_type"], record["change"]["status"]) == ("supatoss.account_checked", "DONE")


async def test_a_sweep_goes_on_when_one_account_cannot_be_looked_up() -> None:
    accounts = [OverdueAccount(f"key-{n}", f"order-{n}", "2026-04-08T00:00:00+00:00") for n in (1, 2)]
    store = Queue(overdue=accounts)
    assert await make_worker(store, Scripted(TossUnavailable("payment"), answer())).sweep() == 1


async def test_the_loop_outlives_a_store_that_is_away_and_ends_when_told() -> None:
    store = Queue(event())
    store.trouble = StoreUnavailable("away")
    worker = make_worker(store, Scripted(answer()))
    tries = 0
    original = store.claim_events

    async def claim(max_events: int, lease_seconds: int) -> list[ClaimedEvent]:
        nonlocal tries
        tries += 1
        if tries == 2:
            store.trouble = None
        if tries == 3:
            worker.stop()
        worker.wake()
        return await original(max_events, lease_seconds)

    store.claim_events = claim  # type: ignore[method-assign]
    await worker.run()
    assert len(store.results) == 1
