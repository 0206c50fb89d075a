"""Signing and sending deliveries as Toss does, and their answers."""

import datetime as dt
import json
import os
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Self
from urllib.parse import urlsplit

from supatoss.causes import failure
from supatoss.cli.dotenv import load_dotenv
from supatoss.cli.options import Form
from supatoss.cli.output import ExitStatus
from supatoss.errors import ConfigurationError, NotAllowed
from supatoss.toss.delivery import ID_HEADER, RETRIED_COUNT_HEADER, SIGNATURE_HEADER, TIME_HEADER
from supatoss.toss.fields import SEOUL
from supatoss.toss.samples import SIGNED_BY_TOSS, transmission_id
from supatoss.toss.signature import sign_hex, sign_v1
from supatoss.urls import is_loopback

if TYPE_CHECKING:
    import httpx

SECRET_KEY = "TOSS_SECRET_KEY"  # noqa: S105 - the name of a variable
SECURITY_KEY = "TOSS_SECURITY_KEY"


@dataclass(frozen=True, slots=True)
class SigningKeys:
    """The signing keys and the variables that hold them, newest first."""

    secret_name: str
    security_name: str
    secret_keys: Sequence[str] = field(repr=False)
    security_keys: Sequence[str] = field(repr=False)

    @classmethod
    def read(cls, key_env: str | None = None) -> Self:
        """Keys from the environment; key_env names one variable that holds the key of either form."""
        secret_name, security_name = key_env or SECRET_KEY, key_env or SECURITY_KEY
        load_dotenv(secret_name, security_name)
        return cls(secret_name, security_name, _keys_in(secret_name), _keys_in(security_name))

    @property
    def is_live(self) -> bool:
        """Whether a live key is among them."""
        return any(kind_of(key) == "live" for key in self.secret_keys)

    @property
    def kind(self) -> str:
        """Environment of the newest secret key: test, live, or unknown."""
        return kind_of(self.secret_keys[0]) if self.secret_keys else "unknown"

    def form_for(self, event_type: str) -> Form:
        """The default form: v1 for events that Toss signs, if there is a security key; else hex."""
        return Form.V1 if event_type in SIGNED_BY_TOSS and self.security_keys else Form.HEX

    def check(self, form: Form) -> None:
        """Raises ConfigurationError if the form's key is missing."""
        self.signature(form, b"", "")

    def signature(self, form: Form, body: bytes, sent_at: str) -> str | None:
        """The value of the signature header. Raises ConfigurationError if the key is missing."""
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
    """The headers of one delivery; sent_at defaults to now."""
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
    """The current time in Toss's format for a transmission time."""
    return dt.datetime.now(SEOUL).isoformat(timespec="seconds")


def kind_of(secret_key: str) -> str:
    """Environment of a key, from its prefix: test, live, or unknown."""
    prefix = secret_key.partition("_")[0]
    return prefix if prefix in ("test", "live") else "unknown"


def _keys_in(name: str) -> tuple[str, ...]:
    return tuple(key.strip() for key in os.environ.get(name, "").split(",") if key.strip())


def _needed(name: str, keys: Sequence[str]) -> Sequence[str]:
    if not keys:
        hint = "`make run` writes it: . .local/env" if name in (SECRET_KEY, SECURITY_KEY) else "it must hold the key"
        raise ConfigurationError([f"{name} is missing; {hint}."])
    return keys


WEBHOOK_PATH = "/webhooks/toss"
ANSWER_SECONDS = 10.0
"""Toss's own time-out."""

SHOWN_CHARACTERS = 200
"""Of an answer that is not from supatoss."""


@dataclass(frozen=True, slots=True)
class Answer:
    """The answer to a delivery. status None: there was none, and problem says why.

    is_reached: whether something took the delivery, even if it then said nothing.
    """

    status: int | None
    content: Any = None
    problem: str | None = None
    is_reached: bool = True

    @property
    def exit_status(self) -> ExitStatus:
        """Only 200 counts, as with Toss."""
        if self.status is None:
            return ExitStatus.UNREACHABLE
        return ExitStatus.OK if self.status == 200 else ExitStatus.FOUND

    def __str__(self) -> str:
        if self.status is None:
            return self.problem or "no answer"
        if isinstance(self.content, dict) and "event_status" in self.content:
            what = f"{self.content.get('status')}, {self.content['event_status']}, event {self.content.get('event')}"
        elif isinstance(self.content, dict) and "error" in self.content:
            what = f"{self.content['error']}: {self.content.get('message')}"
        else:
            what = self.content if isinstance(self.content, str) else json.dumps(self.content, ensure_ascii=False)
        return f"{self.status} {what}"


class Sender:
    """Posts deliveries to one URL. Follows no redirects and ignores proxy variables."""

    def __init__(self, url: str, client: "httpx.AsyncClient") -> None:
        self.url = url
        self._client = client

    async def send(self, body: bytes, headers: Mapping[str, str]) -> Answer:
        """Sends one delivery; a network failure is an Answer too."""
        import httpx

        try:
            response = await self._client.post(self.url, content=body, headers=dict(headers))
        except (httpx.ConnectError, httpx.ConnectTimeout) as error:
            return Answer(None, problem=failure(error, self.url), is_reached=False)
        except httpx.TimeoutException:
            return Answer(None, problem=f"no answer from {self.url} within {ANSWER_SECONDS:g} seconds")
        except httpx.HTTPError as error:
            return Answer(None, problem=failure(error, self.url))
        try:
            return Answer(response.status_code, response.json())
        except ValueError:
            return Answer(response.status_code, response.text[:SHOWN_CHARACTERS])


@asynccontextmanager
async def open_sender(url: str) -> AsyncIterator[Sender]:
    """A Sender for the length of a block."""
    import httpx

    async with httpx.AsyncClient(trust_env=False, timeout=ANSWER_SECONDS, follow_redirects=False) as client:
        yield Sender(url, client)


def target(to: str | None) -> str:
    """Where deliveries go: the given URL, else the service on this machine.

    WEBHOOK_URL (`make run` writes it) or PORT says where it listens. Raises NotAllowed.
    """
    if to:
        return check_target("--to", to)
    url = os.environ.get("WEBHOOK_URL", "").strip()
    if not url:
        return f"http://127.0.0.1:{os.environ.get('PORT', '').strip() or '8080'}{WEBHOOK_PATH}"
    if not is_loopback(urlsplit(check_target("WEBHOOK_URL", url)).hostname or ""):
        raise NotAllowed(f"WEBHOOK_URL is {url}, which is not this machine. To send there: --to {url}")
    return url


def check_target(name: str, url: str) -> str:
    """Accepts https anywhere, and plain http on this machine. Raises NotAllowed."""
    try:
        parts = urlsplit(url.strip())
        host, _ = parts.hostname, parts.port
    except ValueError:
        host = None
        parts = urlsplit("")
    if parts.scheme not in ("http", "https") or not host:
        raise NotAllowed(f"{name} should be a URL such as http://127.0.0.1:8080{WEBHOOK_PATH}, not {url!r}")
    if parts.scheme == "http" and not is_loopback(host):
        raise NotAllowed(f"{name} should begin with https:// unless the host is this machine")
    return url.strip()
