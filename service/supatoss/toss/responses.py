"""Reads Toss's responses. What an error means is decided by its code, not by its HTTP status."""

import datetime as dt
import json
import re
from collections.abc import Mapping
from decimal import Decimal
from email.utils import parsedate_to_datetime
from http import HTTPStatus
from typing import Any, TypeVar

from pydantic import ValidationError

from supatoss.errors import (
    NotReadable,
    TossError,
    TossMisconfigured,
    TossNotFound,
    TossRefused,
    TossThrottled,
    TossUnavailable,
)
from supatoss.toss.delivery import read_body
from supatoss.toss.fields import TossModel

DEFAULT_PAUSE_SECONDS = 2.0
"""After a 429 without Retry-After; shorter than a look-up may take, so waiting look-ups still succeed."""

MAX_PAUSE_SECONDS = 60.0
"""Toss counts by the minute; a longer Retry-After would only prolong an outage."""

TEMPORARY = frozenset(
    {
        "PROVIDER_ERROR",  # 400, and temporary all the same
        "IDEMPOTENT_REQUEST_PROCESSING",  # 409: the same request is in flight
        "FORBIDDEN_CONSECUTIVE_REQUEST",  # 403: too soon after the one before
        "COMMON_ERROR",
        "FAILED_INTERNAL_SYSTEM_PROCESSING",
        "FAILED_PAYMENT_INTERNAL_SYSTEM_PROCESSING",
        "UNKNOWN_ERROR",
        "UNKNOWN_PAYMENT_ERROR",
    }
)
MISCONFIGURED = frozenset({"UNAUTHORIZED_KEY", "INVALID_API_KEY", "INCORRECT_BASIC_AUTH_FORMAT", "FORBIDDEN_REQUEST"})
_NOT_FOUND = "NOT_FOUND"
_CODE = re.compile(r"[A-Za-z0-9_.-]{1,100}")
_SECONDS = re.compile(r"[0-9]{1,9}(\.[0-9]{1,9})?")

M = TypeVar("M", bound=TossModel)


def error_in(call: str, http_status: int, retry_after: str | None, body: bytes) -> TossError | None:
    """The error that a response means, None for a success."""
    if HTTPStatus.OK <= http_status < HTTPStatus.MULTIPLE_CHOICES:
        return None
    code = _code_of(body)
    if http_status == HTTPStatus.TOO_MANY_REQUESTS:
        pause = pause_seconds(retry_after, dt.datetime.now(dt.UTC))
        return TossThrottled(call, "rate limit", code=code, http_status=http_status, retry_after_seconds=pause)
    if code is None:
        return TossUnavailable(call, "answered without an error code", http_status=http_status)
    return _class_of(code, http_status)(call, code=code, http_status=http_status)


def _class_of(code: str, http_status: int) -> type[TossError]:
    if code in TEMPORARY:
        return TossUnavailable
    if code in MISCONFIGURED:
        return TossMisconfigured
    if code.startswith(_NOT_FOUND):
        return TossNotFound
    return TossUnavailable if http_status >= HTTPStatus.INTERNAL_SERVER_ERROR else TossRefused


def _code_of(body: bytes) -> str | None:
    """The code in an error body of v1 ({code}) or v2 ({error: {code}}), if it looks like one."""
    try:
        fields = read_body(body).fields
    except NotReadable:
        return None
    inner = fields.get("error")
    code = fields.get("code") or (inner.get("code") if isinstance(inner, dict) else None)
    return code if isinstance(code, str) and _CODE.fullmatch(code) else None


def pause_seconds(retry_after: str | None, now: dt.datetime) -> float:
    """Seconds of a Retry-After, in either form (seconds or an HTTP date), at most a minute."""
    text = (retry_after or "").strip()
    if _SECONDS.fullmatch(text):
        seconds = float(text)
    else:
        try:
            until = parsedate_to_datetime(text)
        except ValueError:
            return DEFAULT_PAUSE_SECONDS
        seconds = (until.replace(tzinfo=until.tzinfo or dt.UTC) - now).total_seconds()
    return min(max(seconds, 0.0), MAX_PAUSE_SECONDS)


def read_object(call: str, body: bytes) -> Mapping[str, Any]:
    """The JSON object of a response. Raises TossUnavailable: a gateway's page says nothing about the payment."""
    try:
        return read_body(body).fields
    except NotReadable as error:
        raise TossUnavailable(call, f"answered in an unexpected form: {error.reason}") from None


def read_rows(call: str, body: bytes) -> list[Any]:
    """The JSON array of a response. Raises TossUnavailable."""
    try:
        rows = json.loads(body, parse_float=Decimal)
    except (ValueError, ArithmeticError, RecursionError):
        raise TossUnavailable(call, "answered in an unexpected form: not_json") from None
    if not isinstance(rows, list):
        raise TossUnavailable(call, "answered in an unexpected form: not_an_array")
    return rows


def typed(call: str, model: type[M], fields: object) -> M:
    """The typed form of a response. Raises TossUnavailable, which names the fields but shows no value."""
    try:
        return model.model_validate(fields)
    except ValidationError as error:
        names = ", ".join(".".join(map(str, item["loc"])) or "object" for item in error.errors(include_input=False))
        raise TossUnavailable(call, f"answered in an unexpected form: {names}") from None
