"""What happens around every API call: logging, faults, authentication, limits, idempotency keys.

Source: docs.tosspayments.com, authorization and headers, idempotency keys.
"""

import asyncio
import base64
import binascii
import time
from collections import defaultdict, deque
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any, NoReturn

from starlette.requests import Request
from starlette.responses import Response

from scripts.emulator.errors import TossError
from scripts.emulator.faults import Fault
from scripts.emulator.formats import Names, from_json, now, to_json, with_offset
from scripts.emulator.options import Options

TEST_CODE = "tosspayments-test-code"
_WINDOW_SECONDS = 60.0
_MAX_CALLS_KEPT = 100_000
_MAX_IDEMPOTENCY_KEY_LENGTH = 300
_IDEMPOTENCY_SECONDS = 15 * 24 * 3600.0

Scope = tuple[str, str, str, str]
"""Key, API key, path and method."""

Answer = tuple[int, bytes]


@dataclass
class _First:
    began_at: float
    answer: Answer | None = None


class Idempotency:
    """First answers by idempotency key. A repeat gets the same bytes, errors included; its body is not compared."""

    def __init__(self) -> None:
        self._first: dict[Scope, _First] = {}

    async def once(self, scope: Scope, perform: Callable[[], Awaitable[Answer]]) -> tuple[Answer, bool]:
        """The answer, and whether it is a repeat. Raises TossError while the first request is in progress."""
        if len(scope[0]) > _MAX_IDEMPOTENCY_KEY_LENGTH:
            raise TossError("INVALID_IDEMPOTENCY_KEY")
        first = self._first.get(scope)
        if first is None or time.monotonic() - first.began_at > _IDEMPOTENCY_SECONDS:
            first = self._first[scope] = _First(time.monotonic())
            try:
                first.answer = await perform()
            finally:
                if first.answer is None:
                    self._first.pop(scope, None)
            return first.answer, False
        if first.answer is None:
            raise TossError("IDEMPOTENT_REQUEST_PROCESSING")
        return first.answer, True

    def reset(self) -> None:
        """Forgets everything."""
        self._first.clear()


@dataclass(frozen=True)
class Call:
    """A call as the API's functions get it."""

    path: dict[str, str]
    query: dict[str, str]
    body: dict[str, Any]


Api = Callable[[Call], object]
"""A function of the API: returns what JSON can represent, None for an empty body. Raises TossError."""


class CallHandler:
    """Answers calls, and logs them for the control API."""

    def __init__(self, options: Options, names: Names) -> None:
        self._options = options
        self._names = names
        self._idempotency = Idempotency()
        self._recent: defaultdict[tuple[str, str], deque[float]] = defaultdict(deque)
        self.revoked: set[str] = set()
        self.faults: list[Fault] = []
        self.calls: deque[dict[str, Any]] = deque(maxlen=_MAX_CALLS_KEPT)

    def reset(self) -> None:
        """Forgets calls, faults, limits, idempotency keys and what was revoked."""
        self._idempotency.reset()
        self._recent.clear()
        self.faults.clear()
        self.calls.clear()
        self.revoked.clear()

    async def answer(self, request: Request, name: str, api: Api) -> Response:
        """Answers one call. `name`, the method and path without keys, is what the limit counts."""
        raw = await request.body()
        record = self._record(request, name, raw)
        fault = self._take_fault(request.url.path)
        record["fault"] = fault is not None
        if fault and fault.has_answer and not fault.is_after:
            await asyncio.sleep(fault.delay_seconds)
            return self._finish(record, fault.response())
        try:
            status, body = await self._checked(request, name, api, raw, fault, record)
        except TossError as error:
            status, body = error.status, _error_body(request, error)
        if fault and fault.has_answer:
            record["lostStatus"] = status
            return self._finish(record, fault.response())
        return self._finish(record, Response(body, status, media_type="application/json" if body else None))

    async def _checked(
        self, request: Request, name: str, api: Api, raw: bytes, fault: Fault | None, record: dict[str, Any]
    ) -> Answer:
        secret_key = self._authenticate(request.headers.get("authorization", ""))
        is_test = secret_key.startswith("test_")
        if is_test:
            self._count(name, secret_key)
        test_code = request.headers.get(TEST_CODE) if is_test else None

        async def perform() -> Answer:
            if fault and fault.delay_seconds:
                await asyncio.sleep(fault.delay_seconds)
            return _perform(request, api, raw, test_code)

        key = request.headers.get("idempotency-key")
        if key is None or request.method != "POST" or test_code == "IDEMPOTENT_REQUEST_PROCESSING":
            return await perform()
        found, record["replayed"] = await self._idempotency.once(
            (key, secret_key, request.url.path, request.method), perform
        )
        return found

    def _authenticate(self, header: str) -> str:
        """The secret key of a call. Toss wants it as the user name, with an empty password."""
        scheme, _, encoded = header.partition(" ")
        if scheme.lower() != "basic":
            raise TossError("UNAUTHORIZED_KEY")
        try:
            user, colon, password = base64.b64decode(encoded.strip(), validate=True).decode().partition(":")
        except (binascii.Error, UnicodeDecodeError):
            raise TossError("INCORRECT_BASIC_AUTH_FORMAT") from None
        if not colon or password:
            raise TossError("INCORRECT_BASIC_AUTH_FORMAT")
        if user in self._options.secret_keys and user not in self.revoked:
            return user
        raise TossError("INVALID_API_KEY" if "_ck_" in user or "_gck_" in user else "UNAUTHORIZED_KEY")

    def _count(self, name: str, secret_key: str) -> None:
        """Refuses a call above the limit of the last minute."""
        limit = self._options.requests_per_minute
        if not limit:
            return
        recent, moment = self._recent[name, secret_key], time.monotonic()
        while recent and recent[0] <= moment - _WINDOW_SECONDS:
            recent.popleft()
        if len(recent) >= limit:
            raise TossError("TOO_MANY_REQUESTS")
        recent.append(moment)

    def _take_fault(self, path: str) -> Fault | None:
        for fault in self.faults:
            if path.startswith(fault.path_prefix):
                fault.count -= 1
                if not fault.count:
                    self.faults.remove(fault)
                return fault
        return None

    def _record(self, request: Request, name: str, raw: bytes) -> dict[str, Any]:
        """Logs the call, never its secret key."""
        record = {
            "at": with_offset(now()),
            "method": request.method,
            "path": request.url.path,
            "api": name,
            "query": dict(request.query_params),
            "body": raw.decode(errors="replace"),
            "idempotencyKey": request.headers.get("idempotency-key"),
            "testCode": request.headers.get(TEST_CODE),
            "replayed": False,
            "status": None,
        }
        self.calls.append(record)
        return record

    def _finish(self, record: dict[str, Any], response: Response) -> Response:
        record["status"] = response.status_code or None
        response.headers["x-tosspayments-trace-id"] = self._names.trace_id()
        return response


def _perform(request: Request, api: Api, raw: bytes, test_code: str | None) -> Answer:
    try:
        result = _refuse(test_code) if test_code else api(_call(request, raw))
    except TossError as error:
        return error.status, _error_body(request, error)
    return 200, b"" if result is None else to_json(result)


def _refuse(code: str) -> NoReturn:
    raise TossError(code)


def _error_body(request: Request, error: TossError) -> bytes:
    is_english = request.headers.get("accept-language", "").lower().startswith("en")
    return to_json({"code": error.code, "message": error.message(english=is_english)})


def _call(request: Request, raw: bytes) -> Call:
    """The call, with the JSON object of a POST."""
    body: Any = {}
    if request.method == "POST":
        try:
            body = from_json(raw)
        except ValueError:
            body = None
        if not isinstance(body, dict):
            raise TossError("INVALID_REQUEST", "JSON")
    return Call(request.path_params, dict(request.query_params), body)
