"""Every error of the service.

SupatossError
├── ConfigurationError        the settings do not allow a start
├── NotAllowed                an operator's action is not done as it was asked for
├── DeliveryError             this delivery is not accepted; nothing of it is stored
│   ├── NotGenuine        401
│   ├── NotReadable       400
│   ├── BodyTooLarge      413
│   └── BodyTooSlow       408
├── NotStored             503 nothing is known to be stored; the sender has to come again
│   ├── CannotVerify          only Toss could vouch for it, and Toss cannot be asked now
│   └── StoreError            the Data API did not confirm
│       ├── StoreUnavailable      it may work in a moment
│       │   └── StoreKeyRefused   the gateway does not accept our key, or not yet
│       └── StoreRefused          it will not work until somebody mends the set-up
└── TossError                 a call of Toss's API did not answer what was asked
    ├── TossUnavailable       no answer that says anything: the outcome is unknown, a retry can help
    ├── TossNotFound          Toss knows nothing of that name under our keys
    ├── TossRefused           Toss says no, for good
    └── TossMisconfigured     Toss does not accept our key, until somebody mends the set-up
"""

from enum import StrEnum
from typing import ClassVar


class Reason(StrEnum):
    """Why a delivery was not accepted: log field, metric label, and what tests assert."""

    MISSING_SIGNATURE = "missing_signature"
    INVALID_SIGNATURE = "invalid_signature"
    SOURCE_NOT_ALLOWED = "source_not_allowed"
    NOTHING_VOUCHES = "nothing_vouches"
    UNKNOWN_TO_TOSS = "unknown_to_toss"
    CONTRADICTED_BY_TOSS = "contradicted_by_toss"
    UNKNOWN_BILLING_KEY = "unknown_billing_key"
    UNKNOWN_CANCEL = "unknown_cancel"
    NOT_UTF8 = "not_utf8"
    NOT_JSON = "not_json"
    NOT_AN_OBJECT = "not_an_object"
    TOO_DEEP = "too_deep"
    TOO_LARGE = "too_large"
    TOO_SLOW = "too_slow"
    DISCONNECTED = "disconnected"
    CANNOT_ASK_TOSS = "cannot_ask_toss"
    STORE_UNAVAILABLE = "store_unavailable"
    STORE_REFUSED = "store_refused"
    DEADLINE = "deadline"
    STOPPING = "stopping"
    TOO_BUSY = "too_busy"
    INTERNAL = "internal"


class SupatossError(Exception):
    """Base of all errors that the service raises on purpose."""


class ConfigurationError(SupatossError):
    """The settings do not allow a start. `problems` has one line each, naming the variable and what it should be."""

    def __init__(self, problems: list[str]) -> None:
        self.problems = problems
        super().__init__("\n".join(problems))


class NotAllowed(SupatossError):
    """An operator's action that is not done as it was asked for; the message says what it needs."""


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


class NotStored(SupatossError):
    """Nothing is known to be stored. The message names no row, key or payload."""

    http_status = 503
    reason = Reason.STORE_UNAVAILABLE
    retry_can_help = True


class CannotVerify(NotStored):
    """Only Toss could vouch for the delivery, and Toss cannot be asked now."""

    reason = Reason.CANNOT_ASK_TOSS


class StoreError(NotStored):
    """The Data API did not confirm the call."""


class StoreUnavailable(StoreError):
    """The Data API or its database is away or busy."""


class StoreKeyRefused(StoreUnavailable):
    """The gateway does not accept our key. A key that was just made or replaced reaches all gateways within moments."""


class StoreRefused(StoreError):
    """The Data API answers, but refuses: wrong key, missing migration, missing grant."""

    reason = Reason.STORE_REFUSED
    retry_can_help = False


class TossError(SupatossError):
    """A call of Toss's API that did not answer what was asked.

    call: name of the call. code: Toss's error code, None where there was none. http_status: None where nothing came.
    retry_after_seconds: how long Toss, or our own limit, asks to wait. The message holds the call, the code and our
    words; never a key, a payment's content or the text of an answer.
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
        status = "" if http_status is None else f" (HTTP {http_status})"
        super().__init__(f"Toss, {call}: {problem or code or 'no code'}{status}")


class TossUnavailable(TossError):
    """No answer, or one that says nothing. The outcome is unknown: what may have charged is looked up first."""

    retry_can_help = True
    outcome = "unavailable"


class TossNotFound(TossError):
    """Toss knows no payment, session or billing key of that name under any of our keys."""

    outcome = "not_found"


class TossRefused(TossError):
    """Toss says no, for good; `code` says why."""

    outcome = "refused"


class TossMisconfigured(TossError):
    """Toss does not accept our secret key: wrong, revoked, of another environment, or not allowed to do this."""

    outcome = "misconfigured"
