"""Every error of the service.

SupatossError
├── ConfigurationError        the service can't start with these settings
├── NotAllowed                an operator's action is refused
├── DeliveryError             the delivery is refused, nothing is stored
│   ├── NotGenuine        401
│   ├── NotReadable       400
│   ├── BodyTooLarge      413
│   └── BodyTooSlow       408
├── NotStored             503 maybe not stored: the sender has to retry
│   ├── TooBusy               more work than can be done in time
│   ├── CannotVerify          only Toss could verify it, and can't be reached
│   │   └── TooManyLookups        strangers have used up the look-ups for deliveries like it
│   └── StoreError            the Data API did not confirm the call
│       ├── StoreUnavailable      a retry can help
│       │   └── StoreKeyRefused   the gateway refuses our key, or doesn't know it yet
│       └── StoreRefused          fails until somebody fixes the set-up
│           └── SchemaMismatch    the database's functions are not those of this release
└── TossError                 a call of Toss's API failed
    ├── TossUnavailable       no usable answer: the outcome is unknown, a retry can help
    │   └── TossThrottled         too many calls, says Toss or our own limit
    ├── TossNotFound          not found under any of our keys
    ├── TossRefused           refused for good
    └── TossMisconfigured     our key is refused until somebody fixes the set-up
"""

from enum import StrEnum
from typing import ClassVar


class Reason(StrEnum):
    """Why a delivery was refused or not stored: log field, metric label, and what tests assert."""

    MISSING_SIGNATURE = "missing_signature"
    INVALID_SIGNATURE = "invalid_signature"
    STALE = "stale"
    SOURCE_NOT_ALLOWED = "source_not_allowed"
    NOTHING_VOUCHES = "nothing_vouches"
    UNKNOWN_TO_TOSS = "unknown_to_toss"
    SECRET_DIFFERS = "secret_differs"  # noqa: S105 - the name of a reason, not a secret
    UNKNOWN_BILLING_KEY = "unknown_billing_key"
    UNKNOWN_CANCEL = "unknown_cancel"
    NOT_UTF8 = "not_utf8"
    NOT_JSON = "not_json"
    NOT_AN_OBJECT = "not_an_object"
    TOO_LARGE = "too_large"
    TOO_SLOW = "too_slow"
    DISCONNECTED = "disconnected"
    CANNOT_ASK_TOSS = "cannot_ask_toss"
    TOO_MANY_LOOKUPS = "too_many_lookups"
    STORE_UNAVAILABLE = "store_unavailable"
    STORE_REFUSED = "store_refused"
    DEADLINE = "deadline"
    STOPPING = "stopping"
    TOO_BUSY = "too_busy"
    INTERNAL = "internal"


class SupatossError(Exception):
    """Base of all errors that the service raises on purpose."""


class ConfigurationError(SupatossError):
    """The service can't start. `problems` has a line each, with the variable and what it should be."""

    def __init__(self, problems: list[str]) -> None:
        self.problems = problems
        super().__init__("\n".join(problems))


class NotAllowed(SupatossError):
    """An operator's action is refused; the message says what it needs."""


class DeliveryError(SupatossError):
    """The delivery is refused. The message may be shown to its sender."""

    http_status = 400
    retry_can_help = False

    def __init__(self, reason: Reason, message: str) -> None:
        self.reason = reason
        self.message = message
        super().__init__(message)


class NotGenuine(DeliveryError):
    """The delivery can't be verified. Every reason has the same answer: what is wrong is nothing for a forger."""

    http_status = 401

    def __init__(self, reason: Reason, message: str = "Invalid signature") -> None:
        super().__init__(reason, message)


class NotReadable(DeliveryError):
    """The body is not a JSON object."""


class BodyTooLarge(DeliveryError):
    """The body is larger than the limit."""

    http_status = 413


class BodyTooSlow(DeliveryError):
    """The body did not arrive in time."""

    http_status = 408
    retry_can_help = True


class NotStored(SupatossError):
    """The event may not be stored. The message names no row, key or payload."""

    http_status = 503
    reason = Reason.STORE_UNAVAILABLE
    retry_can_help = True


class TooBusy(NotStored):
    """There is more to do than can be done in time."""

    reason = Reason.TOO_BUSY


class CannotVerify(NotStored):
    """Only Toss could verify the delivery, and Toss can't be reached."""

    reason = Reason.CANNOT_ASK_TOSS


class TooManyLookups(CannotVerify):
    """Strangers' deliveries have used up the look-ups that are for deliveries like this one.

    may_be_genuine: it is about an order that the tables know, of a sender that has not sent too many.
    """

    reason = Reason.TOO_MANY_LOOKUPS

    def __init__(self, message: str, *, may_be_genuine: bool = False) -> None:
        self.may_be_genuine = may_be_genuine
        super().__init__(message)


class StoreError(NotStored):
    """The Data API did not confirm the call. remedy: what to do about it, where that is known."""

    def __init__(self, message: str, remedy: str | None = None) -> None:
        self.remedy = remedy
        super().__init__(message)


class StoreUnavailable(StoreError):
    """The Data API or its database is down or busy."""


class StoreKeyRefused(StoreUnavailable):
    """The gateway refuses our key. A key that was just created or replaced reaches all gateways within moments."""


class StoreRefused(StoreError):
    """The Data API refuses the call: wrong key, missing migration, missing grant."""

    reason = Reason.STORE_REFUSED
    retry_can_help = False


class SchemaMismatch(StoreRefused):
    """The database lacks a function, table or column of this release: it is older, or newer."""


class TossError(SupatossError):
    """A call of Toss's API failed.

    call: name of the call. code: Toss's error code, None if there was none. http_status: None without a response.
    key: the name of the key that was used, where one was. retry_after_seconds: how long Toss, or our own limit, asks to
    wait. The message has the call, the code and our own words; never a key, a payment's content or text from the
    response.
    """

    retry_can_help: ClassVar[bool] = False
    outcome: ClassVar[str] = "error"
    """Label of the metric."""

    def __init__(
        self,
        call: str,
        problem: str | None = None,
        *,
        code: str | None = None,
        http_status: int | None = None,
        retry_after_seconds: float | None = None,
    ) -> None:
        self.call = call
        self.code = code
        self.http_status = http_status
        self.retry_after_seconds = retry_after_seconds
        self.key: str | None = None
        self._problem = problem or code or "no code"
        super().__init__(call, problem)

    def __str__(self) -> str:
        status = "" if self.http_status is None else f" (HTTP {self.http_status})"
        return f"Toss, {self.call}: {self._problem}{status}"


class TossUnavailable(TossError):
    """No usable answer. The outcome is unknown: look up what may have charged before retrying."""

    retry_can_help = True
    outcome = "unavailable"


class TossThrottled(TossUnavailable):
    """Too many calls: Toss answered 429, or our own limit holds the call back. Nothing was done."""


class TossNotFound(TossError):
    """Toss finds no such payment, session or billing key under any of our keys."""

    outcome = "not_found"


class TossRefused(TossError):
    """Toss refuses, for good; `code` says why."""

    outcome = "refused"


class TossMisconfigured(TossError):
    """Toss refuses our secret key: wrong, revoked, of another environment, or without permission."""

    outcome = "misconfigured"

    def __str__(self) -> str:
        return super().__str__() + (f" with {self.key} of TOSS_SECRET_KEY" if self.key else "")
