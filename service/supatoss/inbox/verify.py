"""Verifies deliveries. A signature, if there is one, decides; else another proof is needed.

In this order: the payment's stored secret; Toss's own answer, which then replaces what the body claims; a billing key
that we hold. No proof: NotGenuine. Only Toss could prove it, and can't be reached: CannotVerify.
"""

import asyncio
import datetime as dt
import hmac
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace
from decimal import Decimal

import structlog

from supatoss.errors import CannotVerify, NotGenuine, Reason, TossError, TossNotFound
from supatoss.inbox.event import EventReason, EventStatus, Meaning, NewEvent, Proof
from supatoss.inbox.interpret import interpret, interpret_payment
from supatoss.store import Store
from supatoss.toss import events
from supatoss.toss.client import TossClient
from supatoss.toss.delivery import Delivery, read_body
from supatoss.toss.fields import PaymentStatus
from supatoss.toss.fields import PaymentStatus as Status
from supatoss.toss.models import Payment, PaymentAnswer
from supatoss.toss.signature import Keys, SignatureCheck, check_signature

_PAID = frozenset({Status.DONE, Status.PARTIAL_CANCELED, Status.CANCELED})
_ENDED = frozenset({Status.ABORTED, Status.EXPIRED, Status.FAILED})

_STILL_TRUE: dict[Status | None, frozenset[Status]] = {
    Status.DONE: _PAID,
    Status.CANCELED: frozenset({Status.CANCELED, Status.PARTIAL_CANCELED}),
    Status.PARTIAL_CANCELED: frozenset({Status.CANCELED, Status.PARTIAL_CANCELED}),
    Status.WAITING_FOR_DEPOSIT: _PAID | {Status.WAITING_FOR_DEPOSIT, Status.EXPIRED},
    Status.ABORTED: _ENDED,
    Status.FAILED: _ENDED,
    Status.EXPIRED: _ENDED,
}
"""What a status may have become by the time Toss answers; READY and IN_PROGRESS, anything."""


@dataclass(frozen=True, slots=True)
class Claim:
    """What an event claims about a payment."""

    payment_key: str | None
    order_id: str | None
    status: str | None
    amount: Decimal | None = None
    secret: str | None = field(default=None, repr=False)

    @property
    def is_deposit(self) -> bool:
        """Whether it reports a payment. Every reported payment is confirmed with Toss's API."""
        return self.status == Status.DONE

    def is_borne_out_by(self, answer: Payment) -> bool:
        """Whether Toss's payment can be the claimed one, in the claimed status or a later one.

        DONE is not borne out by WAITING_FOR_DEPOSIT: it is forged, or the deposit was reversed meanwhile, and refusing
        it loses nothing.
        """
        return (
            self.payment_key in (None, answer.payment_key)
            and self.order_id in (None, answer.order_id)
            and (self.amount is None or answer.total_amount is None or self.amount == answer.total_amount)
            and (self.secret is None or answer.secret is None or self.secret == answer.secret)
            and self._can_have_become(answer.status)
        )

    def _can_have_become(self, status: str | None) -> bool:
        later = _STILL_TRUE.get(_known(self.status))
        now = _known(status)
        return later is None or (now is not None and now in later)


def _known(status: str | None) -> Status | None:
    return Status(status) if status is not None and status in Status.__members__ else None


def claim_of(event: events.Event) -> Claim | None:
    """An event's claim about a payment, None if it is about something else."""
    match event:
        case events.PaymentStatusChanged():
            return _of_payment(event.data)
        case events.OrderPaymentStatusChanged():
            return _of_payment(event.data.payment)
        case events.VirtualAccountIssued():
            return _of_payment(event.data, default_status=Status.WAITING_FOR_DEPOSIT)
        case events.DepositCallback():
            return Claim(None, event.order_id, event.status, secret=event.secret)
        case events.VirtualAccountDeposit():
            return Claim(event.data.payment_key, event.data.order_id, Status.DONE, secret=event.data.secret)
        case _:
            return None


def _of_payment(payment: Payment, default_status: str | None = None) -> Claim:
    status = payment.status or default_status
    return Claim(payment.payment_key, payment.order_id, status, payment.total_amount, payment.secret)


Accepts = Callable[[PaymentAnswer], bool]


class Lookups:
    """Look-ups of payments, shared by concurrent callers that ask about the same order."""

    def __init__(self, toss: TossClient) -> None:
        self._toss = toss
        self._in_flight: dict[str, asyncio.Task[PaymentAnswer]] = {}

    async def find(
        self, payment_key: str | None, order_id: str | None, timeout_seconds: float, accepts: Accepts
    ) -> PaymentAnswer:
        """The payment at Toss, by its key if there is one. Raises TossError.

        An answer that another caller requested may predate the change that this caller heard of; it counts only if
        this caller accepts it.
        """
        name = order_id or payment_key or ""
        shared = self._in_flight.get(name)
        if shared is not None:
            (finished,) = await asyncio.gather(asyncio.shield(shared), return_exceptions=True)
            if isinstance(finished, PaymentAnswer) and accepts(finished):
                return finished
        own = asyncio.create_task(self._look_up(payment_key, order_id, timeout_seconds))
        self._in_flight[name] = own
        try:
            # A cancelled caller must not take the answer from the others.
            return await asyncio.shield(own)
        finally:
            own.add_done_callback(lambda task: task.cancelled() or task.exception())
            if self._in_flight.get(name) is own:
                del self._in_flight[name]

    async def _look_up(self, payment_key: str | None, order_id: str | None, timeout_seconds: float) -> PaymentAnswer:
        if payment_key:
            return await self._toss.payment(payment_key, timeout_seconds=timeout_seconds)
        if order_id:
            return await self._toss.payment_by_order(order_id, timeout_seconds=timeout_seconds)
        raise TossNotFound("payment", "no payment key and no order id to look up")


Vouched = tuple[Proof, Meaning]


class Verifier:
    """Turns a delivery into a verified event. `look_up_seconds`: longest wait for Toss before it is answered."""

    def __init__(
        self, store: Store, keys: Keys, lookups: Lookups, *, accepts_unsigned: bool, look_up_seconds: float
    ) -> None:
        self._store = store
        self._keys = keys
        self._lookups = lookups
        self._accepts_unsigned = accepts_unsigned
        self._look_up_seconds = look_up_seconds

    async def verify(self, delivery: Delivery, received_at: dt.datetime) -> NewEvent:
        """The event of a genuine delivery. Raises NotGenuine, NotReadable, CannotVerify or StoreError."""
        check = check_signature(delivery, self._keys)
        structlog.contextvars.bind_contextvars(signature_check=check.value)
        if check is SignatureCheck.INVALID:
            raise _not_genuine(Reason.INVALID_SIGNATURE)
        if check is SignatureCheck.MISSING and not self._accepts_unsigned:
            raise _not_genuine(Reason.MISSING_SIGNATURE)
        body = read_body(delivery.body)
        event = events.parse_event(body.fields)
        structlog.contextvars.bind_contextvars(event_key=body.key, event_type=event.event_type)
        meaning = interpret(event)
        if check.is_valid:
            proof, meaning = Proof.SIGNATURE, await self._complete(event, meaning)
        else:
            proof, meaning = await self._vouch(event, meaning)
        structlog.contextvars.bind_contextvars(proof=proof.value)
        return NewEvent(event, body, meaning, proof, received_at, delivery)

    async def _complete(self, event: events.Event, meaning: Meaning) -> Meaning:
        """Finishes a signed event that needs Toss now if Toss answers in time; else the worker does."""
        if meaning.status is not EventStatus.PENDING:
            return meaning
        claim = claim_of(event) or Claim(meaning.payment_key, meaning.order_id, None)
        if isinstance(event, events.CancelStatusChanged) and not (claim.payment_key or claim.order_id):
            claim = replace(claim, payment_key=await self._payment_of(event))
        if not (claim.payment_key or claim.order_id):
            return meaning
        try:
            answer = await self._ask(claim)
        except TossError as error:
            _log_toss_error(error)
            return replace(meaning, payment_key=claim.payment_key)
        return observed(answer) if _is_final(answer) else meaning

    async def _vouch(self, event: events.Event, meaning: Meaning) -> Vouched:
        match event:
            case events.BillingDeleted():
                return await self._vouch_billing(event.billing_key, meaning)
            case events.BillingKeyDeleted():
                return await self._vouch_billing(event.data.billing_key, meaning)
            case events.CancelStatusChanged():
                payment_key = event.data.payment_key or await self._payment_of(event)
                if payment_key is None and event.data.order_id is None:
                    raise _not_genuine(Reason.UNKNOWN_CANCEL)
                return await self._vouch_by_toss(Claim(payment_key, event.data.order_id, None))
        claim = claim_of(event)
        if claim is None:
            raise _not_genuine(Reason.NOTHING_VOUCHES)
        return await self._vouch_payment(claim, meaning)

    async def _vouch_billing(self, billing_key: str, meaning: Meaning) -> Vouched:
        vouchers = await self._store.read_vouchers(billing_key=billing_key)
        if not vouchers.holds_billing_key:
            raise _not_genuine(Reason.UNKNOWN_BILLING_KEY)
        return Proof.BILLING_KEY, meaning

    async def _vouch_payment(self, claim: Claim, meaning: Meaning) -> Vouched:
        vouchers = await self._store.read_vouchers(order_id=claim.order_id, payment_key=claim.payment_key)
        if not _is_among(claim.secret, vouchers.secrets):
            return await self._vouch_by_toss(claim)
        if not claim.is_deposit:
            return Proof.SECRET, meaning
        try:
            answer = await self._ask(claim)
        except TossError as error:
            _log_toss_error(error)
            return Proof.SECRET, _to_check(meaning)
        return (Proof.TOSS_API, observed(answer)) if _is_final(answer) else (Proof.SECRET, _to_check(meaning))

    async def _vouch_by_toss(self, claim: Claim) -> Vouched:
        try:
            answer = await self._ask(claim)
        except TossNotFound:
            raise _not_genuine(Reason.UNKNOWN_TO_TOSS) from None
        except TossError as error:
            _log_toss_error(error)
            raise CannotVerify(str(error)) from error
        if claim.status is not None and not claim.is_borne_out_by(answer.payment):
            raise _not_genuine(Reason.CONTRADICTED_BY_TOSS)
        return Proof.TOSS_API, observed(answer)

    async def _payment_of(self, event: events.CancelStatusChanged) -> str | None:
        cancel = event.data
        vouchers = await self._store.read_vouchers(
            cancel_key=cancel.transaction_key, cancel_request=cancel.cancel_request_id
        )
        return vouchers.cancel_payment_key

    async def _ask(self, claim: Claim) -> PaymentAnswer:
        return await self._lookups.find(
            claim.payment_key,
            claim.order_id,
            self._look_up_seconds,
            accepts=lambda answer: answer.payment.status == claim.status and claim.is_borne_out_by(answer.payment),
        )


def observed(answer: PaymentAnswer) -> Meaning:
    """What Toss's answer means, as of the time Toss was asked."""
    return replace(interpret_payment(answer.payment), observed_at=answer.asked_at)


def _is_final(answer: PaymentAnswer) -> bool:
    """Whether nothing is left to do; a payment that still needs approval is left to the worker."""
    return answer.payment.status not in (PaymentStatus.READY, PaymentStatus.IN_PROGRESS)


def _to_check(meaning: Meaning) -> Meaning:
    return replace(meaning, status=EventStatus.PENDING, reason=EventReason.CHECK_DEPOSIT)


def _is_among(secret: str | None, stored: Iterable[str]) -> bool:
    """Compares in constant time, with every stored secret."""
    if not secret:
        return False
    given = secret.encode(errors="surrogatepass")
    matches = [hmac.compare_digest(given, other.encode(errors="surrogatepass")) for other in stored]
    return any(matches)


def _not_genuine(reason: Reason) -> NotGenuine:
    return NotGenuine(reason, "Invalid signature")


def _log_toss_error(error: TossError) -> None:
    structlog.contextvars.bind_contextvars(toss_error=str(error))
