"""Is a delivery genuine, and what counts of it? A signature decides where there is one; else a voucher is looked for.

In this order: the stored secret of the payment; Toss's own answer, which is then applied instead of what the body
claims; a billing key that we hold. Nothing vouches: NotGenuine. Only Toss could, and cannot be asked now: CannotVerify.
"""

import datetime as dt
import hmac
from collections.abc import Iterable
from dataclasses import replace

import structlog

from supatoss.errors import CannotVerify, NotGenuine, Reason, TossError, TossNotFound
from supatoss.inbox.changes import interpret, interpret_payment
from supatoss.inbox.claims import Claim, claim_of
from supatoss.inbox.meaning import Cause, Intent, Meaning, NewEvent, Proof
from supatoss.inbox.questions import Questions
from supatoss.store import Store
from supatoss.toss import events
from supatoss.toss.delivery import Delivery, read_body
from supatoss.toss.resources import PaymentAnswer
from supatoss.toss.signature import Keys, SignatureCheck, check_signature
from supatoss.toss.statuses import PaymentStatus

Vouched = tuple[Proof, Meaning]


class Verifier:
    """Turns a delivery into an event that may be believed. `ask_seconds`: longest wait for Toss within an answer."""

    def __init__(
        self, store: Store, keys: Keys, questions: Questions, *, accepts_unsigned: bool, ask_seconds: float
    ) -> None:
        self._store = store
        self._keys = keys
        self._questions = questions
        self._accepts_unsigned = accepts_unsigned
        self._ask_seconds = ask_seconds

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
        """A signed event that needs Toss is finished now if Toss answers in time, and by the worker otherwise."""
        if meaning.intent is not Intent.PENDING:
            return meaning
        claim = claim_of(event) or Claim(meaning.payment_key, meaning.order_id, None)
        if isinstance(event, events.CancelStatusChanged) and not (claim.payment_key or claim.order_id):
            claim = replace(claim, payment_key=await self._payment_of(event))
        if not (claim.payment_key or claim.order_id):
            return meaning
        try:
            answer = await self._ask(claim)
        except TossError as error:
            _log_unasked(error)
            return replace(meaning, payment_key=claim.payment_key)
        return observed(answer) if _is_settled(answer) else meaning

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
            _log_unasked(error)
            return Proof.SECRET, _to_check(meaning)
        return (Proof.TOSS_API, observed(answer)) if _is_settled(answer) else (Proof.SECRET, _to_check(meaning))

    async def _vouch_by_toss(self, claim: Claim) -> Vouched:
        try:
            answer = await self._ask(claim)
        except TossNotFound:
            raise _not_genuine(Reason.UNKNOWN_TO_TOSS) from None
        except TossError as error:
            _log_unasked(error)
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
        return await self._questions.ask(
            claim.payment_key,
            claim.order_id,
            self._ask_seconds,
            accepts=lambda answer: answer.payment.status == claim.status and claim.is_borne_out_by(answer.payment),
        )


def observed(answer: PaymentAnswer) -> Meaning:
    """What Toss's answer means; it counts as of the time when Toss was asked."""
    return replace(interpret_payment(answer.payment), observed_at=answer.asked_at)


def _is_settled(answer: PaymentAnswer) -> bool:
    """Whether Toss has decided; a payment that still needs its approval is the worker's."""
    return answer.payment.status not in (PaymentStatus.READY, PaymentStatus.IN_PROGRESS)


def _to_check(meaning: Meaning) -> Meaning:
    return replace(meaning, intent=Intent.PENDING, cause=Cause.CHECK_DEPOSIT)


def _is_among(secret: str | None, stored: Iterable[str]) -> bool:
    """Compares in constant time, with every stored secret."""
    if not secret:
        return False
    given = secret.encode(errors="surrogatepass")
    matches = [hmac.compare_digest(given, other.encode(errors="surrogatepass")) for other in stored]
    return any(matches)


def _not_genuine(reason: Reason) -> NotGenuine:
    return NotGenuine(reason, "Invalid signature")


def _log_unasked(error: TossError) -> None:
    structlog.contextvars.bind_contextvars(toss_error=str(error))
