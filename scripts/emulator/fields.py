"""Fields of API requests. What Toss would refuse raises INVALID_REQUEST with the field's name."""

import datetime as dt
import re
from collections.abc import Mapping
from decimal import Decimal
from typing import Any

from scripts.emulator.errors import TossError
from scripts.emulator.formats import read_moment

MAX_PAGE = 5000
DEFAULT_PAGE = 100

_ORDER_ID = re.compile(r"[A-Za-z0-9_.=-]{6,64}")
_REFUND_ACCOUNT = re.compile(r"[0-9]{1,20}")


def text(body: Mapping[str, Any], name: str, longest: int) -> str:
    """A required text."""
    value = body.get(name)
    if not isinstance(value, str) or not 0 < len(value) <= longest:
        raise TossError("INVALID_REQUEST", name)
    return value


def optional_text(body: Mapping[str, Any], name: str, longest: int) -> str | None:
    """An optional text."""
    return None if body.get(name) is None else text(body, name, longest)


def order_id(body: Mapping[str, Any]) -> str:
    """The shop's order id."""
    value = text(body, "orderId", 64)
    if not _ORDER_ID.fullmatch(value):
        raise TossError("INVALID_REQUEST", "orderId")
    return value


def amount(body: Mapping[str, Any], name: str) -> Decimal:
    """A required amount: a JSON number above 0."""
    value = body.get(name)
    if isinstance(value, bool) or not isinstance(value, int | Decimal) or not 0 < value < 10**15:
        raise TossError("INVALID_REQUEST", name)
    return Decimal(value)


def optional_amount(body: Mapping[str, Any], name: str) -> Decimal | None:
    """An optional amount."""
    return None if body.get(name) is None else amount(body, name)


def refund_account(body: Mapping[str, Any]) -> None:
    """Checks refundReceiveAccount, required to refund a deposit. Its bank is `bank`, not bankCode."""
    account = body.get("refundReceiveAccount")
    if not isinstance(account, dict):
        raise TossError("INVALID_REFUND_ACCOUNT_INFO")
    if not _REFUND_ACCOUNT.fullmatch(str(account.get("accountNumber", ""))):
        raise TossError("INVALID_REFUND_ACCOUNT_NUMBER")
    if not account.get("bank") or not 0 < len(str(account.get("holderName", ""))) <= 60:
        raise TossError("INVALID_REFUND_ACCOUNT_INFO")


def moments(query: Mapping[str, str]) -> tuple[dt.datetime, dt.datetime]:
    """The startDate and endDate of a query; without an offset they are Korean time."""
    found = []
    for name in ("startDate", "endDate"):
        moment = read_moment(query.get(name, ""))
        if moment is None:
            raise TossError("INVALID_REQUEST", name)
        found.append(moment)
    if found[0] > found[1]:
        raise TossError("INVALID_REQUEST", "endDate")
    return found[0], found[1]


def dates(query: Mapping[str, str]) -> tuple[str, str]:
    """The startDate and endDate of a query in days, as text that sorts by date."""
    for name in ("startDate", "endDate"):
        try:
            dt.datetime.strptime(query.get(name, ""), "%Y-%m-%d")  # noqa: DTZ007  a calendar day has no zone
        except ValueError:
            raise TossError("INVALID_REQUEST", name) from None
    if query["startDate"] > query["endDate"]:
        raise TossError("INVALID_REQUEST", "endDate")
    return query["startDate"], query["endDate"]


def number(query: Mapping[str, str], name: str, otherwise: int, highest: int) -> int:
    """A whole number from 1 to `highest`."""
    value = query.get(name, str(otherwise))
    if not value.isdecimal() or not 1 <= int(value) <= highest:
        raise TossError("INVALID_REQUEST", name)
    return int(value)
