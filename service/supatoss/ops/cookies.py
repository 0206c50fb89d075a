"""Signed cookies: the session, the known browser, the anonymous session, and the flash message."""

import hashlib
import hmac
import secrets
import uuid
from dataclasses import dataclass
from typing import Any

from itsdangerous import BadData, URLSafeTimedSerializer

from supatoss.ops.operators import Operators

SESSION_SECONDS = 12 * 3600
"""A working day; then the password is needed again."""

DEVICE_SECONDS = 180 * 86_400
"""A browser is known for half a year after its last sign-in. It still needs the password."""

ANONYMOUS_SECONDS = 3600
"""A sign-in form that was opened longer ago expires."""

FLASH_SECONDS = 60
"""The result of an action is shown by the next page, which follows at once."""

_SIGNER = {"key_derivation": "hmac", "digest_method": hashlib.sha256}


@dataclass(frozen=True, slots=True)
class Holder:
    """The content of a cookie: the id of the session or device, and the operator's name."""

    id: str
    operator: str


class Cookies:
    """Signs and reads the cookies, and makes each session's form token.

    An operator's cookies become invalid with a new password, and all cookies with a new secret key of the project.
    """

    def __init__(self, operators: Operators, supabase_key: str) -> None:
        self._operators = operators
        self._key = hmac.digest(supabase_key.encode(), b"supatoss operators' page", "sha256")
        self._form_key = hmac.digest(self._key, b"form", "sha256")
        self._sessions = self._serializer("session")
        self._devices = self._serializer("device")
        self._anonymous = self._serializer("anonymous")
        self._flashes = self._serializer("flash")

    def sign_session(self, operator: str) -> tuple[Holder, str]:
        """A new session of an operator, and its cookie."""
        return self._sign(self._sessions, operator)

    def read_session(self, cookie: str | None) -> Holder | None:
        """The session of a cookie; None if it isn't ours or is too old. The database knows whether it was ended."""
        return self._read(self._sessions, cookie, SESSION_SECONDS)

    def sign_device(self, operator: str) -> str:
        """The cookie of a browser in which the operator has signed in."""
        return self._sign(self._devices, operator)[1]

    def read_device(self, cookie: str | None) -> Holder | None:
        """The browser of a cookie, and who has signed in there."""
        return self._read(self._devices, cookie, DEVICE_SECONDS)

    def open_anonymous(self) -> str:
        """The cookie of a session before signing in, so that the sign-in form has a token too."""
        return str(self._anonymous.dumps(secrets.token_urlsafe(18)))

    def read_anonymous(self, cookie: str | None) -> str | None:
        """The id of an anonymous session, or None."""
        value = _load(self._anonymous, cookie, ANONYMOUS_SECONDS)
        return value if isinstance(value, str) else None

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

    def _sign(self, serializer: URLSafeTimedSerializer, operator: str) -> tuple[Holder, str]:
        holder = Holder(str(uuid.UUID(bytes=secrets.token_bytes(16), version=4)), operator)
        fields = {"id": holder.id, "operator": operator, "credential": self._fingerprint(operator)}
        return holder, str(serializer.dumps(fields))

    def _read(self, serializer: URLSafeTimedSerializer, cookie: str | None, seconds: int) -> Holder | None:
        fields = _load(serializer, cookie, seconds)
        if not isinstance(fields, dict) or fields["credential"] != (self._fingerprint(fields["operator"]) or ""):
            return None
        return Holder(fields["id"], fields["operator"])

    def _fingerprint(self, operator: str) -> str | None:
        """Changes with the operator's password; None without such an operator."""
        credential = self._operators.credential(operator)
        if credential is None:
            return None
        return hmac.digest(self._key, f"credential\0{operator}\0{credential}".encode(), "sha256").hex()

    def _serializer(self, salt: str) -> URLSafeTimedSerializer:
        return URLSafeTimedSerializer(self._key, salt=f"supatoss.ops.{salt}", signer_kwargs=_SIGNER)


def _load(serializer: URLSafeTimedSerializer, cookie: str | None, seconds: int) -> Any:
    if not cookie:
        return None
    try:
        return serializer.loads(cookie, max_age=seconds)
    except (BadData, ValueError, OverflowError):
        return None
