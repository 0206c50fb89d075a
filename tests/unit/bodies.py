"""Bodies of deliveries, sensible and senseless."""

from typing import Any

from hypothesis import strategies as st

from supatoss.toss.events import TYPES
from supatoss.toss.fields import PaymentStatus

_NAMES = [
    *("paymentKey", "orderId", "status", "orderName", "mId", "method", "currency", "totalAmount", "balanceAmount"),
    *("requestedAt", "approvedAt", "canceledAt", "cancels", "failure", "receipt", "virtualAccount", "secret"),
    *("metadata", "transactionKey", "cancelAmount", "billingKey", "customerKey", "issuedAt", "deletedAt", "id"),
    *("depositedAt", "amount", "payOutAmount", "fee", "soldDate", "settledAt", "payment", "url", "value", "code"),
]
_VALUES = [
    "",
    "key-1",
    "KRW",
    "2026-03-14T10:21:08.40512",
    "2026-05-06",
    "DONE",
    "12.50",
    0,
    9900,
    -1,
    12.5,
    1e-7,
    1e300,
]


def payment_body(**data: Any) -> dict[str, Any]:
    """PAYMENT_STATUS_CHANGED with the fields that every one has, without createdAt."""
    return {
        "eventType": "PAYMENT_STATUS_CHANGED",
        "data": {"paymentKey": "key-1", "orderId": "order-1", "status": "DONE", **data},
    }


def event_body(event_type: str, **data: Any) -> dict[str, Any]:
    """An event of envelope A without createdAt, as in the guide."""
    return {"eventType": event_type, "data": data}


def any_body() -> st.SearchStrategy[dict[str, Any]]:
    """JSON objects with the names and values that Toss uses, in places where it does not."""
    scalars = (
        st.sampled_from([*_VALUES, *PaymentStatus])
        | st.none()
        | st.booleans()
        | st.integers()
        | st.floats(allow_nan=False, allow_infinity=False)
        | st.text(alphabet=st.characters(), max_size=5)
    )
    names = st.sampled_from(_NAMES) | st.text(max_size=3)
    values = st.recursive(
        scalars,
        lambda inner: st.lists(inner, max_size=3) | st.dictionaries(names, inner, max_size=8),
        max_leaves=12,
    )
    data = st.dictionaries(names, values, max_size=10) | values
    envelope = st.fixed_dictionaries(
        {"eventType": st.sampled_from(sorted(TYPES)) | scalars},
        optional={"createdAt": scalars, "data": data, "entityBody": data, "eventId": scalars},
    )
    return st.builds(lambda flat, named: {**flat, **named}, st.dictionaries(names, values, max_size=4), envelope)
