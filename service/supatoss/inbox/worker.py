"""Finishes pending events: claim, look up at Toss, finish. Any number of processes can run it."""

import asyncio
import contextlib
import datetime as dt
import json
import random
import re
import time
from dataclasses import replace
from decimal import Decimal

import structlog

from supatoss import tracing
from supatoss.errors import SupatossError, TossError, TossNotFound, TossRefused
from supatoss.inbox.attempt import AttemptResult, CannotFinish, again, next_delay_seconds
from supatoss.inbox.claims import Claim
from supatoss.inbox.event import EventReason, EventStatus, NewEvent, Proof
from supatoss.inbox.lookups import Lookups
from supatoss.inbox.observe import is_final, observation, observed
from supatoss.store import Store
from supatoss.store.recording import NOTHING_KNOWN, ClaimedEvent, OverdueAccount
from supatoss.telemetry import ATTEMPTS, describe
from supatoss.toss.client import TossClient
from supatoss.toss.delivery import read_body
from supatoss.toss.events import UnknownEvent
from supatoss.toss.fields import PaymentStatus
from supatoss.toss.models import PaymentAnswer

BATCH = 8
"""Events claimed at once; each calls Toss once or twice, and test keys allow 100 calls a minute."""

LEASE_SECONDS = 90
"""Longer than an event can take: a look-up (10 s), an approval (30 s), another look-up, and finishing the event."""

LOOK_UP_SECONDS = 10.0
POLL_SECONDS = 5.0
"""Between polls for due events; a delivery that becomes pending wakes its own process's worker at once."""

SWEEP_SECONDS = 600.0
"""Between sweeps for overdue accounts; due dates are days away."""

SWEEP_BATCH = 50

_CONFIRM_REFUSED = re.compile(r"^Toss, confirm: .* \(HTTP 4\d\d\)")
"""last_error after an approval that Toss answered with a 4xx (TossError's own wording)."""

_log = structlog.get_logger("supatoss.worker")


class Worker:
    """A loop over pending events. `run` ends after `stop`, once the claimed events are finished."""

    def __init__(self, store: Store, toss: TossClient, lookups: Lookups) -> None:
        self._store = store
        self._toss = toss
        self._lookups = lookups
        self._woken = asyncio.Event()
        self._is_stopping = False

    def wake(self) -> None:
        """Looks for due events now."""
        self._woken.set()

    def stop(self) -> None:
        """Ends the loop."""
        self._is_stopping = True
        self._woken.set()

    async def run(self) -> None:
        """Works until `stop`. Errors of the store or of Toss are logged and retried later."""
        swept_at = float("-inf")
        failures = 0
        while not self._is_stopping:
            self._woken.clear()
            try:
                worked = await self.work_once()
                if time.monotonic() - swept_at > SWEEP_SECONDS:
                    await self.sweep()
                    swept_at = time.monotonic()
                failures = 0
            except SupatossError as error:
                failures += 1
                worked = 0
                _log.warning("worker backs off", error=str(error), failures=failures)
            except Exception as error:  # noqa: BLE001 - a bug in one event must not stop the others
                failures += 1
                worked = 0
                _log.error("worker failed", **describe(error))
            if not worked:
                await self._rest(failures)

    async def work_once(self) -> int:
        """Claims due events, finishes them and returns how many. Raises StoreError if they can't be claimed."""
        started_ns = time.time_ns()
        claimed = await self._store.claim_events(BATCH, LEASE_SECONDS)
        if not claimed:
            return 0
        traces = [event.traceparent for event in claimed]
        with tracing.span("claim", attributes={"events": len(claimed)}, links=traces, started_ns=started_ns):
            results = await asyncio.gather(*(self._traced(event) for event in claimed), return_exceptions=True)
        for result in results:
            if isinstance(result, BaseException):
                # Its lease expires, and a worker claims it again.
                _log.warning("attempt not finished", **describe(result))
        return len(claimed)

    async def sweep(self) -> int:
        """Looks up accounts whose deposit is overdue, and records those that Toss shows as expired."""
        overdue = await self._store.overdue_accounts(SWEEP_BATCH)
        expired = 0
        for account in overdue:
            try:
                answer = await self._lookups.payment(account.payment_key, LOOK_UP_SECONDS)
            except TossError as error:
                _log.warning("overdue account not looked up", order_id=account.order_id, error=str(error))
                continue
            await self._store.record_webhook_events([_expiry(account, answer).to_record()])
            expired += 1
        return expired

    async def _rest(self, failures: int) -> None:
        seconds = next_delay_seconds(min(failures, 6), random.random()) if failures else POLL_SECONDS  # noqa: S311
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._woken.wait()

    async def _traced(self, event: ClaimedEvent) -> None:
        """In the trace of the delivery, with a link to the claim."""
        attributes = {
            "event_id": event.id,
            "event_type": event.event_type,
            "merchant_id": event.merchant_id,
            "attempts": event.attempts,
            "waited_seconds": event.waited_seconds,
        }
        links = [tracing.traceparent()] if event.traceparent else []
        with tracing.span("attempt", "consumer", attributes, parent=event.traceparent, links=links):
            await self._finish(event)

    async def _finish(self, event: ClaimedEvent) -> None:
        try:
            claim = Claim.from_json(event.claim) if event.claim else Claim()
            claim = replace(
                claim, payment_key=event.payment_key, order_id=event.order_id, merchant_id=event.merchant_id
            )
            result = await self._judge(event, claim, await self._answer(event, claim))
        except CannotFinish as problem:
            result = AttemptResult(EventStatus.FAILED, problem.reason, str(problem))
        except TossError as error:
            result = _again(event, error.outcome, str(error), EventStatus.FAILED, error.retry_after_seconds or 0.0)
        finished = await self._store.finish_event(result.to_text(event))
        ATTEMPTS.labels(finished.status or finished.outcome, finished.reason or "").inc()
        is_failed = finished.status == EventStatus.FAILED
        tracing.note(
            {"outcome": finished.outcome, "event_status": finished.status, "reason": finished.reason},
            is_error=is_failed,
        )
        log = _log.error if is_failed else _log.info
        log(
            "attempt finished",
            event_id=event.id,
            event_type=event.event_type,
            order_id=event.order_id,
            outcome=finished.outcome,
            status=finished.status,
            reason=finished.reason,
            attempts=event.attempts,
            error=result.last_error,
        )

    async def _judge(self, event: ClaimedEvent, claim: Claim, answer: PaymentAnswer) -> AttemptResult:
        """What an answer makes of a pending event."""
        is_unsigned = event.reason == EventReason.TOSS_DISAGREES
        shown = answer.payment.status
        if is_unsigned:
            # The answer is an event of its own, the same one that the delivery makes when it is sent again. It counts
            # even where it is less than the claim: a made-up claim must not hold a real change back.
            seen = observation(event.event_type, answer, dt.datetime.now(dt.UTC))
            await self._store.record_webhook_events([seen.to_record()])
        if claim.exceeds(answer.payment) or (event.reason == EventReason.CHECK_DEPOSIT and not is_final(answer)):
            # What Toss never shows didn't happen, or was taken back. A signed one that was never approved needs review.
            end = EventStatus.IGNORED if is_unsigned or is_final(answer) else EventStatus.FAILED
            problem = f"the delivery says {claim.status}, Toss shows {shown}"
            return _again(event, EventReason.NOT_BORNE_OUT.value, problem, end)
        if is_unsigned:
            return AttemptResult(EventStatus.PROCESSED)
        meaning = observed(answer)
        if meaning.status is not EventStatus.PROCESSED:
            return AttemptResult(EventStatus.FAILED, meaning.reason.value if meaning.reason else None, meaning.error)
        return AttemptResult(EventStatus.PROCESSED, meaning=meaning)

    async def _answer(self, event: ClaimedEvent, claim: Claim) -> PaymentAnswer:
        """The payment at Toss, approved first if a signed deposit still needs that."""
        answer = await self._look_up(event, claim)
        if event.reason != EventReason.CHECK_DEPOSIT or answer.payment.status != PaymentStatus.IN_PROGRESS:
            return answer
        payment = answer.payment
        if event.payment_key is None or event.payment_key != payment.payment_key:
            # Which attempt at the order Toss shows is not documented: never approve one that nobody has named.
            return answer
        if event.amount is None or payment.order_id is None:
            raise CannotFinish("no_stored_amount", "the payment needs approval, and no amount is stored for its order")
        amount = Decimal(event.amount)
        if payment.total_amount is not None and payment.total_amount != amount:
            raise CannotFinish(
                "approval_amount_mismatch",
                f"Toss reports {payment.total_amount}, the application stored {amount} for this order",
            )
        try:
            return await self._toss.confirm(
                event.payment_key,
                payment.order_id,
                amount,
                idempotency_key=_idempotency_key(event),
                merchant_id=payment.m_id,
            )
        except TossRefused as error:
            if error.code != "ALREADY_PROCESSED_PAYMENT":
                raise
            return await self._look_up(event, claim)

    async def _look_up(self, event: ClaimedEvent, claim: Claim) -> PaymentAnswer:
        known = NOTHING_KNOWN
        if claim.payment_key is None and event.cancel_key:
            known = await self._store.read_known_keys(cancel_key=event.cancel_key, cancel_request=event.cancel_request)
            claim = replace(claim, payment_key=known.cancel_payment_key)
        elif claim.payment_key is None and claim.order_id is not None:
            known = await self._store.read_known_keys(order_id=claim.order_id)
        answer = await self._lookups.about(claim, known, LOOK_UP_SECONDS)
        if answer is None or not claim.may_mean(answer.payment):
            # Another event of the payment may name it later, and Toss's records may lag.
            raise TossNotFound("payment", "the event's payment is not known yet")
        return answer


def _idempotency_key(event: ClaimedEvent) -> str:
    """One key for all attempts whose outcome is unknown, so that Toss repeats its first answer instead of acting twice.

    Toss repeats a 4xx for 15 days too, even a temporary one such as PROVIDER_ERROR: after one, the next attempt gets a
    key of its own. It holds the lease, not the number of attempts, which restarts when an operator replays the event.
    It can't charge twice: the payment was looked up first, and Toss approves a payment only once.
    """
    key = f"supatoss-confirm-{event.event_key}"
    return f"{key}-{event.lease}" if _CONFIRM_REFUSED.search(event.last_error or "") else key


def _again(
    event: ClaimedEvent, reason: str, problem: str, end: EventStatus, at_least_seconds: float = 0.0
) -> AttemptResult:
    dice = random.random()  # noqa: S311 - no secret depends on it
    return again(event, reason, problem, end, dice=dice, at_least_seconds=at_least_seconds)


def _expiry(account: OverdueAccount, answer: PaymentAnswer) -> NewEvent:
    """An event of our own, since Toss sends no webhook for it; the same state gives the same event."""
    shown = answer.payment.virtual_account or {}
    is_expired = shown.get("expired") is True and answer.payment.status == PaymentStatus.WAITING_FOR_DEPOSIT
    meaning = observed(answer)
    if is_expired and meaning.change is not None:
        meaning = replace(meaning, change={**meaning.change, "status": PaymentStatus.EXPIRED.value})
    elif answer.payment.status == PaymentStatus.WAITING_FOR_DEPOSIT and meaning.change is not None:
        # Nothing new. It must not take back a deposit that a webhook tells of later and this look-up did not show yet.
        meaning = replace(meaning, change={**meaning.change, "is_first": True})
    name = "supatoss.account_expired" if is_expired else "supatoss.account_checked"
    body = {
        "eventType": name,
        "data": {
            "orderId": account.order_id,
            "paymentKey": account.payment_key,
            "dueDate": account.due_date,
            "status": answer.payment.status,
            "checkedOn": f"{answer.asked_at:%Y-%m-%d}",
        },
    }
    read = read_body(json.dumps(body, ensure_ascii=False).encode())
    return NewEvent(UnknownEvent(event_type=name), read, meaning, Proof.TOSS_API, dt.datetime.now(dt.UTC))
