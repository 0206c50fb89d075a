"""Sending deliveries as Toss does, and what came back."""

import os
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from supatoss.cli.output import ExitStatus
from supatoss.errors import NotAllowed
from supatoss.toss.addresses import is_loopback

if TYPE_CHECKING:
    import httpx

WEBHOOK_PATH = "/webhooks/toss"
ANSWER_SECONDS = 10.0
"""Toss gives up on an answer after 10 s; whoever needs longer fails here too."""

SHOWN_CHARACTERS = 200
"""Of an answer that is not ours."""


@dataclass(frozen=True, slots=True)
class Answer:
    """What a delivery was answered with. status None: nothing came back, and problem says why."""

    status: int | None
    content: Any = None
    problem: str | None = None

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
            what = str(self.content)
        return f"{self.status} {what}"


class Sender:
    """Posts deliveries to one URL, without redirects and without the environment's proxies."""

    def __init__(self, url: str, client: "httpx.AsyncClient") -> None:
        self.url = url
        self._client = client

    async def send(self, body: bytes, headers: Mapping[str, str]) -> Answer:
        """One delivery and its answer; failures of the network are answers too."""
        import httpx

        try:
            response = await self._client.post(self.url, content=body, headers=dict(headers))
        except httpx.TimeoutException:
            return Answer(None, problem=f"no answer from {self.url} within {ANSWER_SECONDS:g} seconds")
        except httpx.HTTPError as error:
            return Answer(None, problem=f"{self.url} cannot be reached: {str(error) or type(error).__name__}")
        try:
            return Answer(response.status_code, response.json())
        except ValueError:
            return Answer(response.status_code, response.text[:SHOWN_CHARACTERS])


@asynccontextmanager
async def open_sender(url: str) -> AsyncIterator[Sender]:
    """A sender to a URL, until the end of the block."""
    import httpx

    async with httpx.AsyncClient(trust_env=False, timeout=ANSWER_SECONDS, follow_redirects=False) as client:
        yield Sender(url, client)


def target(to: str | None) -> str:
    """Where deliveries go: the URL that was asked for, else this machine's service.

    WEBHOOK_URL (`make run` writes it) or the port of PORT says where that is. Raises NotAllowed.
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
    """A URL that deliveries can go to: https, or plain http on this machine. Raises NotAllowed."""
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
