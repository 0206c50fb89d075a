"""Who is signed in: signed cookies and the tokens of forms. Nothing is kept on the server, so any machine can answer.

The key is derived from OPS_PASSWORD and SUPABASE_SECRET_KEY: changing either ends every session.
"""

import hashlib
import hmac
import secrets
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
