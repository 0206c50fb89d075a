"""Is a delivery genuine, and what happened? A signature makes it an event; without one the payment is looked up.

Signed: the body counts. Unsigned: the payment that it names is looked up, and Toss's answer is the event, whatever the
body claims. A buyer knows the keys, secrets and amounts of their own payments, so knowing one proves nothing.
"""

import datetime as dt
import json
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from supatoss import telemetry
from supatoss.errors import CannotVerify, NotGenuine, Reason, TossError, TossThrottled
from supatoss.inbox.budget import LookupBudget
from supatoss.inbox.claims import Claim, claim_of
from supatoss.inbox.event import EventStatus, Meaning, NewEvent, Proof
from supatoss.inbox.interpret import interpret
from supatoss.inbox.lookups import Lookups
from supatoss.inbox.observe import disagreement, is_final, observation, observed
from supatoss.off_loop import OffLoop
from supatoss.store import Store
from supatoss.store.recording import NOTHING_KNOWN, KnownKeys
from supatoss.toss import events
from supatoss.toss.delivery import Body, Delivery, read_body
from supatoss.toss.fields import PaymentStatus
from supatoss.toss.models import PaymentAnswer
from supatoss.toss.signature import Keys, SignatureCheck, check_signature, is_fresh
from supatoss.toss.usual import UsualEvent

_SIGNED_BY_TOSS = frozenset({events.PayoutChanged.TYPE, events.SellerChanged.TYPE})
_CANNOT_BE_LOOKED_UP = frozenset({events.SettlementCompleted.TYPE, events.BillingKeyIssued.TYPE})
"""Events of the usual guide that change a row. Toss sends none of them, and has no look-up that could prove them."""

_BILLING = frozenset({events.BillingDeleted.TYPE, events.BillingKeyDeleted.TYPE})


class Verifier:
    """Turns a delivery into verified events.

    look_up_seconds: longest wait for Toss within an answer. max_age: of a signed delivery.
    """

    def __init__(
        self,
        store: Store,
        keys: Keys,
        budget: LookupBudget,
        *,
        accepts_unsigned: bool,
        look_up_seconds: float,
        max_age: dt.timedelta,
    ) -> None:
        self._store = store
        self._keys = keys
        self._budget = budget
        self._accepts_unsigned = accepts_unsigned
        self._look_up_seconds = look_up_seconds
        self._max_age = max_age
        # Apart, so that a flood of large unsigned bodies never stands before a signed one.
        self._signed_work = OffLoop("signed")
        self._unsigned_work = OffLoop("unsigned")

    async def verify(
        self, delivery: Delivery, received_at: dt.datetime, source_address: str = ""
    ) -> Sequence[NewEvent]:
        """What a delivery is to be recorded as; nothing where it is unsigned and its type changes no row.

        source_address: only decides whose share of look-ups is used. Raises NotGenuine, NotReadable, CannotVerify or
        StoreError.
        """
        size = len(delivery.body)
        check = await self._signed_work.run(size, check_signature, delivery, self._keys)
        telemetry.bind(signature_check=check.value)
        if check is SignatureCheck.INVALID:
            raise NotGenuine(Reason.INVALID_SIGNATURE)
        if check is SignatureCheck.MISSING and not self._accepts_unsigned:
            raise NotGenuine(Reason.MISSING_SIGNATURE)
        if check.is_valid and not is_fresh(delivery, received_at, self._max_age):
            raise NotGenuine(Reason.STALE)
        work = self._signed_work if check.is_valid else self._unsigned_work
        body = await work.run(size, read_body, delivery.body)
        event = events.read_event(body.fields)
        telemetry.bind(event_type=event.event_type)
        if check.is_valid:
            found: Sequence[NewEvent] = [await self._signed(event, body, delivery, received_at)]
        else:
            found = await self._unsigned(event, body, delivery, received_at, source_address)
        if found:
            telemetry.bind(**_for_the_log(found[-1]))
        return found

    async def _signed(
        self, event: events.Event | UsualEvent, body: Body, delivery: Delivery, received_at: dt.datetime
    ) -> NewEvent:
        meaning = interpret(event)
        if meaning.status is EventStatus.PENDING:
            meaning = await self._complete(event, meaning, body)
        return NewEvent(event, body, meaning, Proof.SIGNATURE, received_at, delivery)

    async def _complete(self, event: events.Event | UsualEvent, meaning: Meaning, body: Body) -> Meaning:
        """Finishes an event that needs Toss now if Toss answers in time and shows as much; else the worker does."""
        claim, known = await self._what_is_known(claim_of(event.event_type, body.fields) or Claim(), event)
        meaning = replace(meaning, payment_key=meaning.payment_key or claim.payment_key, claim=claim)
        try:
            answer = await self._budget.of_toss.about(claim, known, self._look_up_seconds)
        except TossError as error:
            _log_toss_error(error)
            return meaning
        if answer is None or not claim.may_mean(answer.payment):
            return meaning
        return meaning if claim.exceeds(answer.payment) or not is_final(answer) else observed(answer)

    async def _unsigned(
        self,
        event: events.Event | UsualEvent,
        body: Body,
        delivery: Delivery,
        received_at: dt.datetime,
        source_address: str,
    ) -> Sequence[NewEvent]:
        if event.event_type in _SIGNED_BY_TOSS:
            raise NotGenuine(Reason.MISSING_SIGNATURE)
        if event.event_type in _CANNOT_BE_LOOKED_UP:
            raise NotGenuine(Reason.NOTHING_VOUCHES)
        if event.event_type in _BILLING:
            billing_key = await self._check_billing_key(event)
            # One event a key, whatever else is said: or whoever knows the key could have any number of rows stored.
            said = {"eventType": event.event_type, "billingKey": billing_key}
            body = replace(body, key=read_body(json.dumps(said).encode()).key)
            return [NewEvent(event, body, interpret(event), Proof.BILLING_KEY, received_at, delivery)]
        claim = claim_of(event.event_type, body.fields)
        if claim is None:
            return []
        claim, known, answer = await self._truth_about(claim, event, source_address)
        seen = observation(event.event_type, answer, received_at, delivery)
        claim = await self._at_least_what_was_shown(claim, known, answer)
        return [seen, disagreement(seen, claim)] if claim.exceeds(answer.payment) else [seen]

    async def _truth_about(
        self, claim: Claim, event: events.Event | UsualEvent, source_address: str
    ) -> tuple[Claim, KnownKeys, PaymentAnswer]:
        """The claim about one payment, what we hold about its order, and what Toss answers.

        Payment keys, secrets and transaction keys can't be guessed. Ids of orders and cancels can: who names
        nothing else is refused before anything is looked up.
        """
        if claim.payment_key is None and event.event_type == events.CancelStatusChanged.TYPE:
            return await self._truth_about_cancel(claim, event, source_address)
        if claim.payment_key is None and (claim.order_id is None or claim.secret_digest is None):
            raise NotGenuine(Reason.NOTHING_VOUCHES)

        async def look_up(lookups: Lookups) -> tuple[Claim, KnownKeys, PaymentAnswer]:
            _, known = await self._what_is_known(claim, event)
            return claim, known, await self._look_up(lookups, claim, known)

        return await self._budget.spend(claim, source_address, look_up)

    async def _truth_about_cancel(
        self, claim: Claim, event: events.Event | UsualEvent, source_address: str
    ) -> tuple[Claim, KnownKeys, PaymentAnswer]:
        claim, known = await self._what_is_known(claim, event)
        if claim.payment_key is None or not isinstance(event, events.CancelStatusChanged):
            raise NotGenuine(Reason.UNKNOWN_CANCEL)
        transaction_key = event.data.transaction_key

        async def look_up(lookups: Lookups) -> PaymentAnswer:
            return await self._look_up(lookups, claim, known)

        answer = await self._budget.spend(claim, source_address, look_up, is_known=True)
        if all(item.get("transactionKey") != transaction_key for item in answer.payment.cancels):
            # Found by its request id, which a stranger may guess, unless we hold the cancel itself.
            held = await self._store.read_known_keys(cancel_key=transaction_key)
            if held.cancel_payment_key != claim.payment_key:
                raise NotGenuine(Reason.UNKNOWN_CANCEL)
        return claim, known, answer

    async def _look_up(self, lookups: Lookups, claim: Claim, known: KnownKeys) -> PaymentAnswer:
        try:
            answer = await lookups.about(claim, known, self._look_up_seconds)
        except TossError as error:
            _log_toss_error(error)
            if isinstance(error, TossThrottled):
                raise
            raise CannotVerify(str(error)) from error
        if answer is None:
            raise NotGenuine(Reason.UNKNOWN_TO_TOSS)
        if claim.differs_in_secret(answer.payment):
            raise NotGenuine(Reason.SECRET_DIFFERS)
        return answer

    async def _at_least_what_was_shown(self, claim: Claim, known: KnownKeys, answer: PaymentAnswer) -> Claim:
        """An account that Toss has shown as paid and shows as waiting now: taken back, or a look-up that lags.

        Both look the same, so it is looked up again as if the delivery said that it is paid.
        """
        payment = answer.payment
        if payment.status != PaymentStatus.WAITING_FOR_DEPOSIT or claim.exceeds(payment):
            return claim
        if known is NOTHING_KNOWN and payment.order_id is not None:
            known = await self._store.read_known_keys(order_id=payment.order_id)
        return replace(claim, status=PaymentStatus.DONE.value) if payment.payment_key in known.paid_keys else claim

    async def _check_billing_key(self, event: events.Event | UsualEvent) -> str:
        match event:
            case events.BillingDeleted():
                billing_key = event.billing_key
            case events.BillingKeyDeleted():
                billing_key = event.data.billing_key
            case _:
                raise NotGenuine(Reason.NOTHING_VOUCHES)
        if not (await self._store.read_known_keys(billing_key=billing_key)).holds_billing_key:
            raise NotGenuine(Reason.UNKNOWN_BILLING_KEY)
        return billing_key

    async def _what_is_known(self, claim: Claim, event: events.Event | UsualEvent) -> tuple[Claim, KnownKeys]:
        """What we hold about a claim that names no payment. A Cancel object doesn't: the one that has it is meant."""
        if claim.payment_key is not None:
            return claim, NOTHING_KNOWN
        if claim.order_id is not None:
            return claim, await self._store.read_known_keys(order_id=claim.order_id)
        if not isinstance(event, events.CancelStatusChanged):
            return claim, NOTHING_KNOWN
        cancel = event.data
        known = await self._store.read_known_keys(
            cancel_key=cancel.transaction_key, cancel_request=cancel.cancel_request_id
        )
        return replace(claim, payment_key=known.cancel_payment_key), known


def _for_the_log(found: NewEvent) -> dict[str, Any]:
    """What a delivery's log line tells about its event."""
    change = found.meaning.change or {}
    about = {
        "event_key": found.body.key,
        "proof": found.proof.value,
        "order_id": found.meaning.order_id,
        "amount": change.get("amount"),
        "currency": change.get("currency"),
        "payment_status": change.get("status"),
    }
    return {name: value for name, value in about.items() if value is not None}


def _log_toss_error(error: TossError) -> None:
    telemetry.bind(toss_error=str(error))
