"""Signing in: sessions, the limit for guesses, and the switch of languages."""

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
"""A working day; then the password is asked for again."""

VISIT_SECONDS = 3600
"""A sign-in form that was opened longer ago is given out anew."""

NOTE_SECONDS = 60
"""What an action answers is shown by the next page, which comes at once."""

_SIGNER = {"key_derivation": "hmac", "digest_method": hashlib.sha256}


class Tickets:
    """Issues and checks sessions (signed in), visits (not signed in) and the token that a form carries for either."""

    def __init__(self, password: str, supabase_key: str) -> None:
        self._password = hashlib.sha256(password.encode()).digest()
        key = hmac.digest(supabase_key.encode(), b"supatoss operators' page\0" + password.encode(), "sha256")
        self._form_key = hmac.digest(key, b"form", "sha256")
        self._sessions = self._serializer(key, "session")
        self._visits = self._serializer(key, "visit")
        self._notes = self._serializer(key, "note")

    def is_password(self, text: str) -> bool:
        """Whether this is the password; takes the same time wherever the two differ, and whatever their lengths."""
        return hmac.compare_digest(hashlib.sha256(text.encode()).digest(), self._password)

    def open_session(self) -> str:
        """A cookie that says: signed in."""
        return str(self._sessions.dumps(secrets.token_urlsafe(18)))

    def session(self, cookie: str | None) -> str | None:
        """The session of a cookie, or None when it is none of ours or too old."""
        return _text(self._sessions, cookie, SESSION_SECONDS)

    def open_visit(self) -> str:
        """A cookie for somebody who is not signed in, so that the sign-in form has a token too."""
        return str(self._visits.dumps(secrets.token_urlsafe(18)))

    def visit(self, cookie: str | None) -> str | None:
        """The visit of a cookie, or None."""
        return _text(self._visits, cookie, VISIT_SECONDS)

    def form_token(self, ticket: str) -> str:
        """What a form has to carry when this session or visit sends it."""
        return hmac.digest(self._form_key, ticket.encode(), "sha256").hex()

    def is_form_token(self, ticket: str, token: str) -> bool:
        """Whether the token belongs to this session or visit."""
        return hmac.compare_digest(self.form_token(ticket).encode(), token.encode())

    def note(self, session: str, code: str, **details: str) -> str:
        """A cookie that hands what an action answered to the next page of the same session."""
        return str(self._notes.dumps({"session": session, "code": code, "details": details}))

    def read_note(self, session: str, cookie: str | None) -> tuple[str, dict[str, str]] | None:
        """The code and details of a note for this session, or None."""
        note = _load(self._notes, cookie, NOTE_SECONDS)
        if not isinstance(note, dict) or note.get("session") != session:
            return None
        return note["code"], note["details"]

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


WINDOW_SECONDS = 300.0
"""An attempt counts for five minutes: a person who mistypes waits no longer than that."""

ATTEMPTS_OF_ADDRESS = 5
"""60 guesses an hour: with 12 characters there is no end to them."""

ATTEMPTS_OF_ALL = 60
"""A guesser with many addresses gets 720 guesses an hour in all. Who is signed in already notices nothing."""

MAX_ADDRESSES = 1000
"""Addresses that are remembered; the limit for all keeps fewer than this in one window."""


class Throttle:
    """Counts attempts at signing in, within the memory of one process. Times in seconds."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._all: deque[float] = deque(maxlen=ATTEMPTS_OF_ALL)
        self._addresses: OrderedDict[str, deque[float]] = OrderedDict()

    def take(self, address: str) -> int:
        """Counts one attempt. 0 when it may go on, else the seconds after which the next one may.

        It is counted before the password is looked at, so that attempts made at the same time do not slip through.
        """
        now = self._clock()
        name = _network(address)
        own = self._addresses.get(name) or deque(maxlen=ATTEMPTS_OF_ADDRESS)
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
        """The attempt was right: this address starts afresh."""
        own = self._addresses.pop(_network(address), None)
        if own and self._all:
            self._all.pop()

    @staticmethod
    def _wait(attempts: deque[float], now: float) -> float:
        """Seconds until the oldest attempt counts no more; 0 where there is room."""
        while attempts and attempts[0] <= now - WINDOW_SECONDS:
            attempts.popleft()
        return attempts[0] + WINDOW_SECONDS - now if len(attempts) == attempts.maxlen else 0.0


def _network(address: str) -> str:
    """An IPv6 customer has a whole /64, so its addresses count as one."""
    try:
        parsed = ipaddress.ip_address(address)
    except ValueError:
        return "unknown"
    if isinstance(parsed, ipaddress.IPv6Address):
        mapped = parsed.ipv4_mapped
        return str(mapped) if mapped else str(ipaddress.ip_network((parsed, 64), strict=False))
    return str(parsed)
