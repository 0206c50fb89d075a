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

LOOK_UP_TIMEOUT_SECONDS = 3.0
"""Toss waits 10 s for a webhook; a look-up, the write and one more try of the write fit into that."""

CONFIRM_TIMEOUT_SECONDS = 30.0
"""An approval asks a bank; Toss publishes no limit, and 30 s is what its merchants use."""

PAGE_READ_TIMEOUT_SECONDS = 60.0
"""Toss documents that transactions and settlements can take 60 s to answer."""

PAGE_TIMEOUT_SECONDS = 130.0
"""All of a page: up to a minute for a token of the test environment, the connection, the 60 s, the body."""

PAYMENT_BYTES = 1024 * 1024
"""Longest answer about one payment; a real one has about 4 KiB."""

PAGE_BYTES = 32 * 1024 * 1024
"""Longest page: 5,000 rows of 1 KiB, several times over."""

MAX_PAGE_SIZE = 5000
"""Rows that Toss gives at once."""

_IDEMPOTENCY_KEY = re.compile(r"[!-~]{1,300}")
_MAX_NAME_LENGTH = 300
_MAX_AMOUNT_DIGITS = 15
"""Before the point: more is no amount of money. Behind it, a number that JSON cannot carry exactly is refused."""


@dataclass(frozen=True, slots=True)
class Question:
    """One request, before it is known with which key it is sent. `call` is its name for people and metrics.

    asked_for: fields that an answer about the right payment has, with their values.
    """

    call: str
    method: str
    path: str = field(repr=False)
    timeout_seconds: float
    read_timeout_seconds: float
    max_answer_bytes: int = PAYMENT_BYTES
    asked_for: Mapping[str, str] = field(default_factory=dict, repr=False)
    params: Mapping[str, str] = field(default_factory=dict, repr=False)
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)
    content: bytes | None = field(default=None, repr=False)


def payment(payment_key: str, timeout_seconds: float) -> Question:
    """GET of a payment by its key."""
    path = f"/v1/payments/{_segment('payment', payment_key)}"
    return Question("payment", "GET", path, timeout_seconds, timeout_seconds, asked_for={"paymentKey": payment_key})


def payment_by_order(order_id: str, timeout_seconds: float) -> Question:
    """GET of a payment by its order."""
    path = f"/v1/payments/orders/{_segment('payment_by_order', order_id)}"
    return Question("payment_by_order", "GET", path, timeout_seconds, timeout_seconds, asked_for={"orderId": order_id})


def confirm(payment_key: str, order_id: str, amount: Decimal, idempotency_key: str, timeout_seconds: float) -> Question:
    """POST that approves a payment; the same arguments make the same bytes. Raises ValueError."""
    if not _IDEMPOTENCY_KEY.fullmatch(idempotency_key):
        raise ValueError("an idempotency key has 1 to 300 printable ASCII characters without spaces")
    asked_for = {"paymentKey": payment_key, "orderId": order_id}
    return Question(
        "confirm",
        "POST",
        "/v1/payments/confirm",
        timeout_seconds,
        timeout_seconds,
        asked_for=asked_for,
        headers={"content-type": "application/json", "idempotency-key": idempotency_key},
        content=json.dumps({**asked_for, "amount": _json_amount(amount)}, separators=(",", ":")).encode("ascii"),
    )


def transactions(start: dt.datetime, end: dt.datetime, page_size: int, starting_after: str | None) -> Question:
    """GET of a page of transactions, in whole seconds of Korea and rather wider than asked. Raises ValueError."""
    _check_page_size(page_size)
    end_of_second = end + dt.timedelta(microseconds=-end.microsecond % 1_000_000)
    params = {"startDate": _korean(start), "endDate": _korean(end_of_second), "limit": str(page_size)}
    if starting_after is not None:
        params["startingAfter"] = starting_after
    return _page("transactions", params)


def settlements(start: dt.date, end: dt.date, date_type: str, page_size: int, page: int) -> Question:
    """GET of a page of settlements, for days in Korea. Raises ValueError."""
    _check_page_size(page_size)
    params = {"startDate": f"{start:%Y-%m-%d}", "endDate": f"{end:%Y-%m-%d}", "dateType": date_type}
    return _page("settlements", {**params, "page": str(page), "size": str(page_size)})


def _page(call: str, params: dict[str, str]) -> Question:
    return Question(
        call, "GET", f"/v1/{call}", PAGE_TIMEOUT_SECONDS, PAGE_READ_TIMEOUT_SECONDS, PAGE_BYTES, params=params
    )


def _segment(call: str, name: str) -> str:
    """A name as one segment of a path. Raises TossNotFound for names that Toss cannot have given."""
    if name in ("", ".", "..") or len(name) > _MAX_NAME_LENGTH:
        raise TossNotFound(call, "a name that Toss cannot have given")
    return quote(name, safe="", errors="replace")


def _json_amount(amount: Decimal) -> int | float:
    if amount.is_finite() and amount > 0 and amount.adjusted() < _MAX_AMOUNT_DIGITS:
        number = plain_number(amount)
        if not isinstance(number, str):
            return number
    raise ValueError("an amount is above 0, below 10^15, and exact as a JSON number")


def _korean(moment: dt.datetime) -> str:
    if moment.tzinfo is None:
        raise ValueError("a time without an offset is not a point in time")
    return f"{moment.astimezone(SEOUL):%Y-%m-%dT%H:%M:%S}"


def _check_page_size(page_size: int) -> None:
    if not 1 <= page_size <= MAX_PAGE_SIZE:
        raise ValueError(f"a page has 1 to {MAX_PAGE_SIZE} rows")
