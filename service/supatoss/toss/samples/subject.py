"""What sample events are about, and how their bodies and headers are written."""

import datetime as dt
import json
import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Self

from supatoss.toss.fields import SEOUL

SampleBody = dict[str, Any]

_ULID_LETTERS = "0123456789abcdefghjkmnpqrstvwxyz"
_ULID_LENGTH = 26


@dataclass(frozen=True, slots=True)
class SampleSubject:
    """What events are about: samples of one subject name the same order, payment, customer and seller."""

    now: dt.datetime
    mark: str

    @classmethod
    def new(cls, now: dt.datetime | None = None) -> Self:
        """A subject that no other sample has."""
        moment = (now or dt.datetime.now(dt.UTC)).astimezone(SEOUL)
        return cls(moment, f"{moment:%Y%m%d%H%M%S}{secrets.token_hex(4)}")

    @property
    def order_id(self) -> str:
        """The merchant's id of the order."""
        return f"order-{self.mark}"

    @property
    def payment_key(self) -> str:
        """Toss's key of the payment."""
        return f"tmade{self.mark}"

    @property
    def billing_key(self) -> str:
        """Toss's key of a card on file; real ones end in `=` too."""
        return f"billing-{self.mark}="

    @property
    def customer_key(self) -> str:
        """The merchant's key of the customer."""
        return f"customer-{self.mark}"

    @property
    def secret(self) -> str:
        """The secret of the payment."""
        return f"ps_made{self.mark}"

    @property
    def with_offset(self) -> str:
        """The time as Toss writes it in most places."""
        return self.now.isoformat(timespec="seconds")

    @property
    def without_offset(self) -> str:
        """The time as Toss writes createdAt of payment events."""
        return self.now.replace(tzinfo=None).isoformat(timespec="microseconds")


def to_bytes(body: Mapping[str, Any]) -> bytes:
    """A body in bytes, as compact as Toss's."""
    return json.dumps(body, ensure_ascii=False, separators=(",", ":")).encode()


def transmission_id() -> str:
    """An id in Toss's form: `whtrans_a` and 26 letters."""
    return "whtrans_a" + "".join(secrets.choice(_ULID_LETTERS) for _ in range(_ULID_LENGTH))
