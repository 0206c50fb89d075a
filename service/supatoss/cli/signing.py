"""The keys that commands sign with, and the headers of a delivery as Toss would send them."""

import datetime as dt
import os
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Self

from supatoss.cli.form import Form
from supatoss.errors import ConfigurationError
from supatoss.toss.delivery import ID_HEADER, RETRIED_COUNT_HEADER, SIGNATURE_HEADER, TIME_HEADER
from supatoss.toss.signature import sign_hex, sign_v1
from supatoss.toss.templates import SIGNED_BY_TOSS, transmission_id
from supatoss.toss.times import SEOUL

SECRET_KEY = "TOSS_SECRET_KEY"  # noqa: S105 - the name of a variable
SECURITY_KEY = "TOSS_SECURITY_KEY"


@dataclass(frozen=True, slots=True)
class SigningKeys:
    """Keys by the variable that holds them, newest first."""

    secret_name: str
    security_name: str
    secret_keys: Sequence[str] = field(repr=False)
    security_keys: Sequence[str] = field(repr=False)

    @classmethod
    def read(cls, key_env: str | None = None) -> Self:
        """The keys of the environment; with key_env that variable holds the key of either form."""
        secret_name, security_name = key_env or SECRET_KEY, key_env or SECURITY_KEY
        return cls(secret_name, security_name, _keys_in(secret_name), _keys_in(security_name))

    @property
    def is_live(self) -> bool:
        """Whether a key of the live environment is among them."""
        return any(kind_of(key) == "live" for key in self.secret_keys)

    @property
    def kind(self) -> str:
        """Environment of the newest secret key: test, live, or unknown."""
        return kind_of(self.secret_keys[0]) if self.secret_keys else "unknown"

    def form_for(self, event_type: str) -> Form:
        """How an event is signed unless told otherwise: v1 where Toss signs it so and the key is there, else hex."""
        return Form.V1 if event_type in SIGNED_BY_TOSS and self.security_keys else Form.HEX

    def check(self, form: Form) -> None:
        """Raises ConfigurationError where the key of a form is missing."""
        self.signature(form, b"", "")

    def signature(self, form: Form, body: bytes, sent_at: str) -> str | None:
        """The value of the signature header. Raises ConfigurationError where the key is missing."""
        match form:
            case Form.NONE:
                return None
            case Form.HEX:
                return sign_hex(body, sent_at, _needed(self.secret_name, self.secret_keys)[0])
            case Form.V1:
                return sign_v1(body, sent_at, *_needed(self.security_name, self.security_keys))


def delivery_headers(
    body: bytes,
    keys: SigningKeys,
    form: Form,
    *,
    sent_at: str | None = None,
    delivery_id: str = "",
    retried_count: int = 0,
) -> dict[str, str]:
    """The headers of one delivery, sent now unless sent_at says when."""
    sent_at = sent_at or now_with_offset()
    headers = {
        "content-type": "application/json; charset=utf-8",
        TIME_HEADER: sent_at,
        ID_HEADER: delivery_id or transmission_id(),
        RETRIED_COUNT_HEADER: str(retried_count),
    }
    signature = keys.signature(form, body, sent_at)
    return {**headers, SIGNATURE_HEADER: signature} if signature else headers


def now_with_offset() -> str:
    """This moment as Toss writes a transmission time."""
    return dt.datetime.now(SEOUL).isoformat(timespec="seconds")


def kind_of(secret_key: str) -> str:
    """Environment of a key: test, live, or unknown, as its prefix says."""
    prefix = secret_key.partition("_")[0]
    return prefix if prefix in ("test", "live") else "unknown"


def _keys_in(name: str) -> tuple[str, ...]:
    return tuple(key.strip() for key in os.environ.get(name, "").split(",") if key.strip())


def _needed(name: str, keys: Sequence[str]) -> Sequence[str]:
    if not keys:
        hint = "`make run` writes it: . .local/env" if name in (SECRET_KEY, SECURITY_KEY) else "it should hold the key"
        raise ConfigurationError([f"{name} is missing; {hint}."])
    return keys
