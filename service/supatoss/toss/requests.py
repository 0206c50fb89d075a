"""Every request to Toss that this service makes: path, body, time-outs, and the checks before it is sent. Pure."""

import datetime as dt
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from urllib.parse import quote

from supatoss.errors import TossNotFound
from supatoss.toss.delivery import plain_number
from supatoss.toss.fields import SEOUL
from supatoss.toss.ratelimit import ALONE, CONFIRM, Purpose

LOOK_UP_TIMEOUT_SECONDS = 3.0
"""Toss waits 10 s for a webhook; a look-up, the write and one retry of the write fit into that."""

CONFIRM_TIMEOUT_SECONDS = 30.0
"""An approval involves a bank; Toss publishes no limit, and 30 s is what its merchants use."""

PAGE_READ_TIMEOUT_SECONDS = 60.0
"""Toss documents that transactions and settlements can take 60 s to answer."""

PAGE_TIMEOUT_SECONDS = 130.0
"""A whole page: up to a minute of waiting for our rate limit (test keys), the connection, the 60 s, the body."""

PAYMENT_BYTES = 1024 * 1024
"""Largest answer about one payment; a real one has about 4 KiB."""

PAGE_BYTES = 32 * 1024 * 1024
"""Largest page: 5,000 rows of 1 KiB, several times over."""

MAX_PAGE_SIZE = 5000
"""Most rows that Toss returns at once."""

_IDEMPOTENCY_KEY = re.compile(r"[!-~]{1,300}")
_MAX_NAME_LENGTH = 300
_MAX_AMOUNT_DIGITS = 15
"""Before the decimal point; no payment is larger."""


@dataclass(frozen=True, slots=True)
class TossRequest:
    """One request, before a key is chosen for it. `call` is its name in metrics and messages.

    expected: fields and values that an answer about the right payment has.
    """

    call: str
    method: str
    path: str = field(repr=False)
    timeout_seconds: float
    read_timeout_seconds: float
    max_answer_bytes: int = PAYMENT_BYTES
    expected: Mapping[str, str] = field(default_factory=dict, repr=False)
    params: Mapping[str, str] = field(default_factory=dict, repr=False)
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)
    content: bytes | None = field(default=None, repr=False)
    purpose: Purpose = ALONE


def payment(payment_key: str, timeout_seconds: float, purpose: Purpose = ALONE) -> TossRequest:
    """GET a payment by its key."""
    path = f"/v1/payments/{_segment('payment', payment_key)}"
    expected = {"paymentKey": payment_key}
    return TossRequest("payment", "GET", path, timeout_seconds, timeout_seconds, expected=expected, purpose=purpose)


def payment_by_order(order_id: str, timeout_seconds: float, purpose: Purpose = ALONE) -> TossRequest:
    """GET a payment by its order."""
    call, expected = "payment_by_order", {"orderId": order_id}
    path = f"/v1/payments/orders/{_segment(call, order_id)}"
    return TossRequest(call, "GET", path, timeout_seconds, timeout_seconds, expected=expected, purpose=purpose)


def confirm(
    payment_key: str, order_id: str, amount: Decimal, idempotency_key: str, timeout_seconds: float
) -> TossRequest:
    """POST that approves a payment; the same arguments make the same bytes. Raises ValueError."""
    if not _IDEMPOTENCY_KEY.fullmatch(idempotency_key):
        raise ValueError("an idempotency key has 1 to 300 printable ASCII characters without spaces")
    expected = {"paymentKey": payment_key, "orderId": order_id}
    return TossRequest(
        "confirm",
        "POST",
        "/v1/payments/confirm",
        timeout_seconds,
        timeout_seconds,
        expected=expected,
        headers={"content-type": "application/json", "idempotency-key": idempotency_key},
        content=json.dumps({**expected, "amount": _json_amount(amount)}, separators=(",", ":")).encode("ascii"),
        purpose=CONFIRM,
    )


def transactions(start: dt.datetime, end: dt.datetime, page_size: int, starting_after: str | None) -> TossRequest:
    """GET a page of transactions; the range is widened to whole seconds, Korean time. Raises ValueError."""
    _check_page_size(page_size)
    end_of_second = end + dt.timedelta(microseconds=-end.microsecond % 1_000_000)
    params = {"startDate": _korean(start), "endDate": _korean(end_of_second), "limit": str(page_size)}
    if starting_after is not None:
        params["startingAfter"] = starting_after
    return _page("transactions", params)


def settlements(start: dt.date, end: dt.date, date_type: str, page_size: int, page: int) -> TossRequest:
    """GET a page of settlements, for days in Korea. Raises ValueError."""
    _check_page_size(page_size)
    params = {"startDate": f"{start:%Y-%m-%d}", "endDate": f"{end:%Y-%m-%d}", "dateType": date_type}
    return _page("settlements", {**params, "page": str(page), "size": str(page_size)})


def _page(call: str, params: dict[str, str]) -> TossRequest:
    return TossRequest(
        call, "GET", f"/v1/{call}", PAGE_TIMEOUT_SECONDS, PAGE_READ_TIMEOUT_SECONDS, PAGE_BYTES, params=params
    )


def _segment(call: str, name: str) -> str:
    """A name as one segment of a path. Raises TossNotFound for names that can't be Toss's."""
    if name in ("", ".", "..") or len(name) > _MAX_NAME_LENGTH:
        raise TossNotFound(call, "not a valid name")
    return quote(name, safe="", errors="replace")


def _json_amount(amount: Decimal) -> int | float:
    if amount.is_finite() and amount > 0 and amount.adjusted() < _MAX_AMOUNT_DIGITS:
        number = plain_number(amount)
        if not isinstance(number, str):
            return number
    raise ValueError("an amount is above 0, below 10^15, and exact as a JSON number")


def _korean(moment: dt.datetime) -> str:
    if moment.tzinfo is None:
        raise ValueError("the time needs an offset")
    return f"{moment.astimezone(SEOUL):%Y-%m-%dT%H:%M:%S}"


def _check_page_size(page_size: int) -> None:
    if not 1 <= page_size <= MAX_PAGE_SIZE:
        raise ValueError(f"a page has 1 to {MAX_PAGE_SIZE} rows")
