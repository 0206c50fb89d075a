"""Masks secrets and personal data in the payloads that operators see; everything else stays as received. Pure."""

import json
from typing import Any

MASKED = "[masked]"

_SECRET = frozenset({"secret", "billingkey", "authkey", "authorization", "apikey", "password", "cardpassword"})
_PERSONAL = frozenset(
    {
        *("name", "customername", "holdername", "depositorname", "representativename", "recipientname"),
        *("email", "customeremail", "customerip", "address"),
        *("birthdate", "customerbirthdate", "customeridentitynumber"),
    }
)
_NUMBERS = frozenset(
    {
        *("phone", "mobilephone", "phonenumber", "customermobilephone", "customerphonenumber"),
        *("accountnumber", "cardnumber", "number", "issuenumber", "registrationnumber", "businessregistrationnumber"),
    }
)
"""Phone, account and card numbers; the last digits stay, so that an operator can compare them on the phone."""

_DIGITS_SHOWN = 4


def mask_json(text: str | None) -> Any:
    """A JSON text, parsed and masked; None for None, and MASKED if it can't be parsed."""
    if text is None:
        return None
    try:
        return mask(json.loads(text))
    except (ValueError, RecursionError):
        return MASKED


def mask(value: Any) -> Any:
    """A JSON value with sensitive fields masked at any depth. Field names keep their spelling."""
    match value:
        case dict():
            return {name: _mask_field(name, item) for name, item in value.items()}
        case list():
            return [mask(item) for item in value]
        case _:
            return value


def _mask_field(name: str, value: Any) -> Any:
    plain = name.replace("_", "").replace("-", "").lower()
    if value is None or plain in _SECRET:
        return None if value is None else MASKED
    if isinstance(value, dict | list):
        # `mobilePhone` is a number in one body and an object in another.
        return mask(value)
    if plain in _PERSONAL:
        return MASKED
    if plain in _NUMBERS:
        shown = str(value)
        return f"…{shown[-_DIGITS_SHOWN:]}" if len(shown) > 2 * _DIGITS_SHOWN else MASKED
    return value
