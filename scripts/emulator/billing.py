"""Billing keys: cards that can be charged without the customer."""

import datetime as dt
from dataclasses import dataclass, field
from typing import Any

from scripts.emulator.errors import TossError
from scripts.emulator.formats import Names, now, with_offset
from scripts.emulator.payment import Method


@dataclass
class BillingKey:
    """One billing key. `refuse_with` is the error code of every charge."""

    billing_key: str = field(repr=False)
    customer_key: str
    refuse_with: str | None = None
    authenticated_at: dt.datetime = field(default_factory=now)
    is_removed: bool = False


class BillingKeys:
    """The billing keys of the merchant."""

    def __init__(self, names: Names) -> None:
        self._names = names
        self._known: dict[str, BillingKey] = {}
        self._used_auth_keys: set[str] = set()

    def issue(self, customer_key: str, auth_key: str | None = None, refuse_with: str | None = None) -> BillingKey:
        """A new billing key; the payment window's auth_key works once."""
        if auth_key is not None:
            if auth_key in self._used_auth_keys:
                raise TossError("INVALID_BILL_KEY_REQUEST")
            self._used_auth_keys.add(auth_key)
        billing = BillingKey(self._names.billing_key(), customer_key, refuse_with)
        self._known[billing.billing_key] = billing
        return billing

    def adopt(self, billing_key: str, customer_key: str, *, is_removed: bool) -> None:
        """Stores a billing key that was made up elsewhere."""
        self._known[billing_key] = BillingKey(billing_key, customer_key, is_removed=is_removed)

    def all(self) -> list[BillingKey]:
        """Every billing key, deleted ones too."""
        return list(self._known.values())

    def usable(self, billing_key: str) -> BillingKey:
        """The billing key. Raises TossError if it does not exist or was deleted."""
        billing = self._known.get(billing_key)
        if billing is None:
            raise TossError("NOT_FOUND_BILLING")
        if billing.is_removed:
            raise TossError("ALREADY_REMOVED_BILLING_KEY")
        return billing

    def reset(self) -> None:
        """Forgets everything."""
        self._known.clear()
        self._used_auth_keys.clear()


def billing_json(billing: BillingKey, m_id: str) -> dict[str, Any]:
    """The Billing object."""
    return {
        "mId": m_id,
        "customerKey": billing.customer_key,
        "authenticatedAt": with_offset(billing.authenticated_at),
        "method": Method.CARD,
        "billingKey": billing.billing_key,
        "card": {
            "issuerCode": "61",
            "acquirerCode": "31",
            "number": "12345600****789*",
            "cardType": "신용",
            "ownerType": "개인",
        },
    }
