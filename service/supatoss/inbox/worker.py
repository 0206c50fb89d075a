"""Finishes pending events: claim, look up at Toss, finish. Any number of processes can run it."""

import asyncio
import contextlib
import datetime as dt
import json
import random
import re
import time
from dataclasses import dataclass, replace
from decimal import Decimal
from typing import Any

import structlog

from supatoss.errors import SupatossError, TossError, TossNotFound, TossRefused
from supatoss.inbox.event import EventReason, EventStatus, Meaning, NewEvent, Proof
from supatoss.inbox.verify import observed
from supatoss.store import Store
from supatoss.store.recording import ClaimedEvent, OverdueAccount
from supatoss.telemetry import ATTEMPTS, describe
from supatoss.toss.client import TossClient
from supatoss.toss.delivery import read_body
from supatoss.toss.events import UnknownEvent
from supatoss.toss.fields import PaymentStatus
from supatoss.toss.models import PaymentAnswer

MAX_ATTEMPTS = 12
"""The eleven waits add up to about three hours: longer than any outage on Toss's status page, and short enough that a
person hears of it the same day."""

FIRST_DELAY_SECONDS = 5.0
MAX_DELAY_SECONDS = 3600.0


def next_delay_seconds(attempts: int, dice: float, at_least_seconds: float = 0.0) -> float | None:
    """Seconds until the next attempt after this many, None if there is none.

    Doubles from 5 s to an hour. `dice` in [0, 1) spreads it over the upper half, so that events that failed together
    aren't retried together. `at_least_seconds` is Toss's Retry-After.
    """
    if attempts >= MAX_ATTEMPTS:
        return None
    delay: float = min(FIRST_DELAY_SECONDS * 2.0 ** max(attempts - 1, 0), MAX_DELAY_SECONDS)
    return max(delay * (0.5 + dice / 2), at_least_seconds)


class CannotFinish(SupatossError):
    """An event that no further attempt can finish: it needs manual review."""

    def __init__(self, reason: str, message: str) -> None:
        self.reason = reason
        super().__init__(message)


@dataclass(frozen=True, slots=True)
class AttemptResult:
    """The result of one attempt, as finish_webhook_event_v1 takes it."""

    status: EventStatus
    reason: str | None = None
    last_error: str | None = None
    delay_seconds: float | None = None
    meaning: Meaning | None = None

    def to_text(self, event: ClaimedEvent) -> str:
        """The JSON text for one claimed event."""
        meaning = self.meaning
        fields: dict[str, Any] = {
            "event": event.id,
            "lease": event.lease,
            "status": self.status.value,
            "reason": self.reason,
            "last_error": self.last_error,
            "delay_seconds": self.delay_seconds,
        }
        if meaning:
            observed_at = meaning.observed_at
            fields |= {
                "change": meaning.change,
                "payment_key": meaning.payment_key,
                "order_id": meaning.order_id,
                "occurred_at": observed_at.isoformat() if observed_at else None,
            }
        return json.dumps(fields, ensure_ascii=False)


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

_CONFIRM_REFUSED = re.compile(r"^Toss, confirm: .* \(HTTP 4\d\d\)$")
"""last_error after an approval that Toss answered with a 4xx (TossError's own wording)."""

_log = structlog.get_logger("supatoss.worker")


class Worker:
    """A loop over pending events. `run` ends after `stop`, once the claimed events are finished."""

    def __init__(self, store: Store, toss: TossClient) -> None:
        self._store = store
        self._toss = toss
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
        claimed = await self._store.claim_events(BATCH, LEASE_SECONDS)
        results = await asyncio.gather(*(self._finish(event) for event in claimed), return_exceptions=True)
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
                answer = await self._toss.payment(account.payment_key, timeout_seconds=LOOK_UP_SECONDS)
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

    async def _finish(self, event: ClaimedEvent) -> None:
        try:
            result = _processed(await self._answer(event))
        except CannotFinish as problem:
            result = AttemptResult(EventStatus.FAILED, problem.reason, str(problem))
        except TossError as error:
            result = _again(event, error)
        finished = await self._store.finish_event(result.to_text(event))
        ATTEMPTS.labels(finished.status or finished.outcome, finished.reason or "").inc()
        log = _log.error if finished.status == EventStatus.FAILED else _log.info
        log(
            "attempt finished",
            event_id=event.id,
            event_type=event.event_type,
            outcome=finished.outcome,
            status=finished.status,
            reason=finished.reason,
            attempts=event.attempts,
            error=result.last_error,
        )

    async def _answer(self, event: ClaimedEvent) -> PaymentAnswer:
        """The payment at Toss, approved first if it still needs that."""
        answer = await self._look_up(event)
        if event.reason != EventReason.CHECK_DEPOSIT or answer.payment.status != PaymentStatus.IN_PROGRESS:
            return answer
        payment = answer.payment
        if event.amount is None or payment.payment_key is None or payment.order_id is None:
            raise CannotFinish("no_stored_amount", "the payment needs approval, and no amount is stored for its order")
        amount = Decimal(event.amount)
        if payment.total_amount is not None and payment.total_amount != amount:
            raise CannotFinish(
                "approval_amount_mismatch",
                f"Toss reports {payment.total_amount}, the application stored {amount} for this order",
            )
        try:
            return await self._toss.confirm(
                payment.payment_key, payment.order_id, amount, idempotency_key=_idempotency_key(event)
            )
        except TossRefused as error:
            if error.code != "ALREADY_PROCESSED_PAYMENT":
                raise
            return await self._look_up(event)

    async def _look_up(self, event: ClaimedEvent) -> PaymentAnswer:
        payment_key = event.payment_key
        if not payment_key and event.cancel_key:
            vouchers = await self._store.read_vouchers(cancel_key=event.cancel_key, cancel_request=event.cancel_request)
            payment_key = vouchers.cancel_payment_key
        if payment_key:
            return await self._toss.payment(payment_key, timeout_seconds=LOOK_UP_SECONDS)
        if event.order_id:
            return await self._toss.payment_by_order(event.order_id, timeout_seconds=LOOK_UP_SECONDS)
        # Another event of the payment may name it later.
        raise TossNotFound("payment", "the event's payment is not known yet")


def _idempotency_key(event: ClaimedEvent) -> str:
    """One key for all attempts whose outcome is unknown, so that Toss repeats its first answer instead of acting twice.

    Toss repeats a 4xx for 15 days too, even a temporary one such as PROVIDER_ERROR: after one, the next attempt gets a
    key of its own. It holds the lease, not the number of attempts, which restarts when an operator replays the event.
    It can't charge twice: the payment was looked up first, and Toss approves a payment only once.
    """
    key = f"supatoss-confirm-{event.event_key}"
    return f"{key}-{event.lease}" if _CONFIRM_REFUSED.search(event.last_error or "") else key


def _processed(answer: PaymentAnswer) -> AttemptResult:
    meaning = observed(answer)
    if meaning.status is not EventStatus.PROCESSED:
        return AttemptResult(EventStatus.FAILED, meaning.reason.value if meaning.reason else None, meaning.error)
    return AttemptResult(EventStatus.PROCESSED, meaning=meaning)


def _again(event: ClaimedEvent, error: TossError) -> AttemptResult:
    """Another attempt later. Refusals are retried too: keys get fixed, and Toss's records catch up."""
    delay = next_delay_seconds(event.attempts, random.random(), error.retry_after_seconds or 0.0)  # noqa: S311
    if delay is None:
        return AttemptResult(EventStatus.FAILED, error.outcome, str(error))
    return AttemptResult(EventStatus.PENDING, last_error=str(error), delay_seconds=delay)


def _expiry(account: OverdueAccount, answer: PaymentAnswer) -> NewEvent:
    """An event of our own, since Toss sends no webhook for it; the same state gives the same event."""
    shown = answer.payment.virtual_account or {}
    is_expired = shown.get("expired") is True and answer.payment.status == PaymentStatus.WAITING_FOR_DEPOSIT
    meaning = observed(answer)
    if is_expired and meaning.change is not None:
        meaning = replace(meaning, change={**meaning.change, "status": PaymentStatus.EXPIRED.value})
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
