"""Times, numbers, keys and ids as Toss writes them."""

import base64
import datetime as dt
import hashlib
import json
import secrets
from decimal import Decimal
from typing import Any

SEOUL = dt.timezone(dt.timedelta(hours=9), "Asia/Seoul")


def now() -> dt.datetime:
    """The time in Korea."""
    return dt.datetime.now(SEOUL)


def with_offset(moment: dt.datetime | None) -> str | None:
    """Seconds with an offset: requestedAt, approvedAt, canceledAt and the transmission time."""
    return None if moment is None else moment.astimezone(SEOUL).isoformat(timespec="seconds")


def without_offset(moment: dt.datetime) -> str:
    """Microseconds without an offset and without trailing zeros: createdAt of payment events and deposits."""
    text = moment.astimezone(SEOUL).replace(tzinfo=None).isoformat(timespec="microseconds")
    return text.rstrip("0").rstrip(".")


def read_moment(text: str) -> dt.datetime | None:
    """A time in a query: Korean time without an offset; a date means its midnight. None if it is not a time."""
    try:
        moment = dt.datetime.fromisoformat(text)
    except ValueError:
        return None
    return moment.replace(tzinfo=SEOUL) if moment.tzinfo is None else None


def to_json(value: object) -> bytes:
    """JSON as Toss sends it: compact, Korean unescaped, amounts as numbers."""
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"), default=_number).encode()


def from_json(raw: bytes) -> Any:
    """Parses JSON; numbers with a fraction stay exact. Raises ValueError."""
    return json.loads(raw, parse_float=Decimal)


def _number(value: object) -> int | float:
    if not isinstance(value, Decimal):
        raise TypeError(f"{type(value).__name__} has no JSON form")
    return int(value) if value == value.to_integral_value() else float(value)


_CROCKFORD = "0123456789abcdefghjkmnpqrstvwxyz"
_LETTERS = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
_SEEDED_START = dt.datetime(2026, 1, 1, tzinfo=SEOUL)


class Names:
    """Generates keys and ids. The same seed gives the same ones in the same order, whatever the clock says."""

    def __init__(self, m_id: str, seed: int | None = None) -> None:
        self._m_id = m_id
        self._seed = seed
        self._root = secrets.token_hex(16) if seed is None else f"seed {seed}"
        self._count = 0

    def payment_key(self) -> str:
        """Five characters of the MID, the time in seconds, five more characters."""
        return f"{self._m_id[:5]}{self._stamp():%Y%m%d%H%M%S}{self._text(5)}"

    def transaction_key(self, *, is_virtual_account: bool) -> str:
        """Virtual accounts keep the older form of 32 hex digits."""
        return self._digest().hex()[:32].upper() if is_virtual_account else f"txrd_a{self._ulid()}"

    def secret(self) -> str:
        """The secret of a payment."""
        return f"ps_{self._text(28)}"

    def billing_key(self) -> str:
        """32 bytes in URL-safe base64, so it ends in `=`."""
        return base64.urlsafe_b64encode(self._digest()).decode()

    def transmission_id(self) -> str:
        """The id of a webhook to one URL."""
        return f"whtrans_a{self._ulid()}"

    def trace_id(self) -> str:
        """32 hex digits for x-tosspayments-trace-id."""
        return self._digest().hex()[:32]

    def event_id(self) -> str:
        """The id of an event of payouts or sellers."""
        return f"evt_{self._text(20)}"

    def payout_id(self) -> str:
        """The id of a payout."""
        return f"FPA_{int.from_bytes(self._digest()[:4], 'big'):010d}"

    def account_number(self) -> str:
        """The number of a virtual account; those of the test environment start with X."""
        return f"X{int.from_bytes(self._digest()[:6], 'big') % 10**13:013d}"

    def digits(self, count: int) -> str:
        """A number of `count` digits, as text."""
        return f"{int.from_bytes(self._digest()[:8], 'big') % 10**count:0{count}d}"

    def _stamp(self) -> dt.datetime:
        return now() if self._seed is None else _SEEDED_START + dt.timedelta(seconds=self._count)

    def _ulid(self) -> str:
        milliseconds = int(self._stamp().timestamp() * 1000)
        number = (milliseconds << 80) | int.from_bytes(self._digest()[:10], "big")
        return "".join(_CROCKFORD[(number >> shift) & 31] for shift in range(125, -1, -5))

    def _text(self, length: int) -> str:
        return "".join(_LETTERS[byte % len(_LETTERS)] for byte in self._digest()[:length])

    def _digest(self) -> bytes:
        self._count += 1
        return hashlib.sha256(f"{self._root} {self._count}".encode()).digest()
