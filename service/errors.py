"""Every error of the service.

SupatossError
├── ConfigurationError        the settings do not allow a start
├── DeliveryError             this delivery is not accepted; nothing of it is stored
│   ├── NotGenuine        401
│   ├── NotReadable       400
│   ├── BodyTooLarge      413
│   └── BodyTooSlow       408
└── StoreError            503 nothing is known to be stored; the sender has to come again
    ├── StoreUnavailable      it may work in a moment
    └── StoreRefused          it will not work until somebody mends the set-up
"""

from enum import StrEnum


class Reason(StrEnum):
    """Why a delivery was not accepted: log field, metric label, and what tests assert."""

    MISSING_SIGNATURE = "missing_signature"
    INVALID_SIGNATURE = "invalid_signature"
    NOT_UTF8 = "not_utf8"
    NOT_JSON = "not_json"
    NOT_AN_OBJECT = "not_an_object"
    TOO_DEEP = "too_deep"
    TOO_LARGE = "too_large"
    TOO_SLOW = "too_slow"
    DISCONNECTED = "disconnected"
    STORE_UNAVAILABLE = "store_unavailable"
    STORE_REFUSED = "store_refused"
    DEADLINE = "deadline"
    INTERNAL = "internal"


class SupatossError(Exception):
    """Base of all errors that the service raises on purpose."""


class ConfigurationError(SupatossError):
    """The settings do not allow a start. `problems` has one line each, naming the variable and what it should be."""

    def __init__(self, problems: list[str]) -> None:
        self.problems = problems
        super().__init__("\n".join(problems))


class DeliveryError(SupatossError):
    """A delivery that is not accepted. The message may be shown to whoever sent it."""

    http_status = 400
    retry_can_help = False

    def __init__(self, reason: Reason, message: str) -> None:
        self.reason = reason
        self.message = message
        super().__init__(message)


class NotGenuine(DeliveryError):
    """Nothing vouches for the delivery."""

    http_status = 401


class NotReadable(DeliveryError):
    """The body is not a JSON object."""


class BodyTooLarge(DeliveryError):
    """The body is longer than the limit."""

    http_status = 413


class BodyTooSlow(DeliveryError):
    """The body did not arrive in time."""

    http_status = 408
    retry_can_help = True


class StoreError(SupatossError):
    """The Data API did not confirm the write. The message names no row, key or payload."""

    http_status = 503
    reason = Reason.STORE_UNAVAILABLE
    retry_can_help = True


class StoreUnavailable(StoreError):
    """The Data API or its database is away or busy."""


class StoreRefused(StoreError):
    """The Data API answers, but refuses: wrong key, missing migration, missing grant."""

    reason = Reason.STORE_REFUSED
    retry_can_help = False
