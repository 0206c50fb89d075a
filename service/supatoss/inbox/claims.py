"""What an unsigned event claims about a payment, and whether Toss's answer bears it out. Pure."""

from dataclasses import dataclass, field
from decimal import Decimal

from supatoss.toss import events
from supatoss.toss.payloads import Payment
from supatoss.toss.statuses import PaymentStatus as Status

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
"""What Toss may answer about a payment that once had a status. READY and IN_PROGRESS may have become anything."""


@dataclass(frozen=True, slots=True)
class Claim:
    """What an event says of a payment, true or not."""

    payment_key: str | None
    order_id: str | None
    status: str | None
    amount: Decimal | None = None
    secret: str | None = field(default=None, repr=False)

    @property
    def is_deposit(self) -> bool:
        """Whether it says that money arrived: then Toss is asked, whatever else vouches for it."""
        return self.status == Status.DONE

    def is_borne_out_by(self, answer: Payment) -> bool:
        """Whether the payment that Toss shows can be the one the event speaks of, in this status or a later one.

        A DONE for a payment that Toss shows WAITING_FOR_DEPOSIT is not: it is a forgery, or a deposit that was taken
        back meanwhile, and then nothing is lost by refusing it.
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
    """The claim that an event makes about a payment, None where it is not about one."""
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
