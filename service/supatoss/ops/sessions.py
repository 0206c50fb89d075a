"""Sessions in signed cookies, and the limit for password guesses."""

import hashlib
import hmac
import ipaddress
import math
import secrets
import time
from collections import OrderedDict, deque
from collections.abc import Callable
from typing import Any

from itsdangerous import BadData, URLSafeTimedSerializer

SESSION_SECONDS = 12 * 3600
"""A working day; then the password is needed again."""

ANONYMOUS_SECONDS = 3600
"""A sign-in form that was opened longer ago expires."""

FLASH_SECONDS = 60
"""The result of an action is shown by the next page, which follows at once."""

WINDOW_SECONDS = 300.0
"""An attempt counts for five minutes, the longest wait of a person who mistypes."""

ATTEMPTS_PER_ADDRESS = 5
"""60 guesses an hour: hopeless against 12 characters."""

ATTEMPTS_IN_TOTAL = 60
"""720 guesses an hour from any number of addresses. Operators who are signed in don't notice."""

MAX_ADDRESSES = 1000
"""Remembered addresses; the total limit keeps fewer than this in one window."""

_SIGNER = {"key_derivation": "hmac", "digest_method": hashlib.sha256}


class Sessions:
    """Issues and checks the cookies (signed-in or anonymous session, flash message) and each session's form token."""

    def __init__(self, password: str, supabase_key: str) -> None:
        self._password = hashlib.sha256(password.encode()).digest()
        key = hmac.digest(supabase_key.encode(), b"supatoss operators' page\0" + password.encode(), "sha256")
        self._form_key = hmac.digest(key, b"form", "sha256")
        self._signed_in = self._serializer(key, "session")
        self._anonymous = self._serializer(key, "anonymous")
        self._flashes = self._serializer(key, "flash")

    def is_password(self, text: str) -> bool:
        """Whether this is the password, in constant time."""
        return hmac.compare_digest(hashlib.sha256(text.encode()).digest(), self._password)

    def open(self) -> str:
        """The cookie of a new signed-in session."""
        return str(self._signed_in.dumps(secrets.token_urlsafe(18)))

    def read(self, cookie: str | None) -> str | None:
        """The id of a signed-in session, or None if the cookie is not ours or too old."""
        return _text(self._signed_in, cookie, SESSION_SECONDS)

    def open_anonymous(self) -> str:
        """The cookie of a session before signing in, so that the sign-in form has a token too."""
        return str(self._anonymous.dumps(secrets.token_urlsafe(18)))

    def read_anonymous(self, cookie: str | None) -> str | None:
        """The id of an anonymous session, or None."""
        return _text(self._anonymous, cookie, ANONYMOUS_SECONDS)

    def form_token(self, session_id: str) -> str:
        """The token that the forms of this session carry."""
        return hmac.digest(self._form_key, session_id.encode(), "sha256").hex()

    def is_form_token(self, session_id: str, token: str) -> bool:
        """Whether the token belongs to this session."""
        return hmac.compare_digest(self.form_token(session_id).encode(), token.encode())

    def sign_flash(self, session_id: str, code: str, **details: str) -> str:
        """The cookie that passes the result of an action to the next page of the same session."""
        return str(self._flashes.dumps({"session": session_id, "code": code, "details": details}))

    def read_flash(self, session_id: str, cookie: str | None) -> tuple[str, dict[str, str]] | None:
        """Code and details of a flash message for this session, or None."""
        flash = _load(self._flashes, cookie, FLASH_SECONDS)
        if not isinstance(flash, dict) or flash.get("session") != session_id:
            return None
        return flash["code"], flash["details"]

    @staticmethod
    def _serializer(key: bytes, salt: str) -> URLSafeTimedSerializer:
        return URLSafeTimedSerializer(key, salt=f"supatoss.ops.{salt}", signer_kwargs=_SIGNER)


def _load(serializer: URLSafeTimedSerializer, cookie: str | None, seconds: int) -> Any:
    if not cookie:
        return None
    try:
        return serializer.loads(cookie, max_age=seconds)
    except (BadData, ValueError, OverflowError):
        return None


def _text(serializer: URLSafeTimedSerializer, cookie: str | None, seconds: int) -> str | None:
    value = _load(serializer, cookie, seconds)
    return value if isinstance(value, str) else None


class Throttle:
    """Counts sign-in attempts in the memory of one process. Times in seconds."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._all: deque[float] = deque(maxlen=ATTEMPTS_IN_TOTAL)
        self._addresses: OrderedDict[str, deque[float]] = OrderedDict()

    def take(self, address: str) -> int:
        """Counts one attempt. Returns 0 if it is allowed, else the seconds to wait.

        Counted before the password is checked, so that simultaneous attempts don't slip through.
        """
        now = self._clock()
        name = _network(address)
        own = self._addresses.get(name) or deque(maxlen=ATTEMPTS_PER_ADDRESS)
        wait = max(self._wait(own, now), self._wait(self._all, now))
        if wait > 0:
            return math.ceil(wait)
        own.append(now)
        self._all.append(now)
        self._addresses[name] = own
        self._addresses.move_to_end(name)
        if len(self._addresses) > MAX_ADDRESSES:
            self._addresses.popitem(last=False)
        return 0

    def forgive(self, address: str) -> None:
        """The password was right: this address starts over."""
        own = self._addresses.pop(_network(address), None)
        if own and self._all:
            self._all.pop()

    @staticmethod
    def _wait(attempts: deque[float], now: float) -> float:
        """Seconds until the oldest attempt expires; 0 if there is room."""
        while attempts and attempts[0] <= now - WINDOW_SECONDS:
            attempts.popleft()
        return attempts[0] + WINDOW_SECONDS - now if len(attempts) == attempts.maxlen else 0.0


def _network(address: str) -> str:
    """One IPv6 customer has a whole /64, so those addresses count as one."""
    try:
        parsed = ipaddress.ip_address(address)
    except ValueError:
        return "unknown"
    if isinstance(parsed, ipaddress.IPv6Address):
        mapped = parsed.ipv4_mapped
        return str(mapped) if mapped else str(ipaddress.ip_network((parsed, 64), strict=False))
    return str(parsed)
