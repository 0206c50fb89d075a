"""A sample body for every event in the catalogue. People, shops and keys are invented."""

from collections.abc import Callable, Mapping
from types import MappingProxyType

from supatoss.toss import events
from supatoss.toss.samples import bodies
from supatoss.toss.samples.subject import SampleBody, SampleSubject, to_bytes, transmission_id

__all__ = [
    "FROM_THE_GUIDE",
    "SAMPLES",
    "SIGNED_BY_TOSS",
    "SampleBody",
    "SampleSubject",
    "make_body",
    "to_bytes",
    "transmission_id",
]

_OF_TOSS: dict[str, Callable[[SampleSubject], SampleBody]] = {
    events.PaymentStatusChanged.TYPE: bodies.payment_status_changed,
    events.DepositCallback.TYPE: bodies.deposit_callback,
    events.CancelStatusChanged.TYPE: bodies.cancel_status_changed,
    events.BillingDeleted.TYPE: bodies.billing_deleted,
    events.MethodUpdated.TYPE: bodies.method_updated,
    events.CustomerStatusChanged.TYPE: bodies.customer_status_changed,
    events.PayoutChanged.TYPE: bodies.payout_changed,
    events.SellerChanged.TYPE: bodies.seller_changed,
    events.OrderPaymentStatusChanged.TYPE: bodies.order_payment_status_changed,
    events.ArsReservationChanged.TYPE: bodies.ars_reservation_changed,
}
_OF_THE_GUIDE: dict[str, Callable[[SampleSubject], SampleBody]] = {
    events.VirtualAccountIssued.TYPE: bodies.virtual_account_issued,
    events.VirtualAccountDeposit.TYPE: bodies.virtual_account_deposit,
    events.BillingKeyIssued.TYPE: bodies.billing_key_issued,
    events.BillingKeyDeleted.TYPE: bodies.billing_key_deleted,
    events.SettlementCompleted.TYPE: bodies.settlement_completed,
}

SAMPLES: Mapping[str, Callable[[SampleSubject], SampleBody]] = MappingProxyType({**_OF_TOSS, **_OF_THE_GUIDE})

FROM_THE_GUIDE = frozenset(_OF_THE_GUIDE)
"""Events that the merchant's guide names and Toss does not send."""

SIGNED_BY_TOSS = frozenset({events.PayoutChanged.TYPE, events.SellerChanged.TYPE})
"""The only events that Toss signs."""


def make_body(event_type: str, subject: SampleSubject) -> SampleBody:
    """The sample body of an event type. Raises KeyError if the type is not in the catalogue."""
    return SAMPLES[event_type](subject)
