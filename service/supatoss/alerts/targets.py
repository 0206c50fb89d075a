"""Where alerts are sent: Slack (Block Kit), Discord (embeds), or anything that takes a Standard Webhook.

Sources: api.slack.com/reference/block-kit/blocks#section, discord.com/developers/docs/resources/message#embed-object,
github.com/standard-webhooks/standard-webhooks.
"""

import base64
import hashlib
import hmac
import json
import time
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit

import httpx

from supatoss.alerts.messages import Language, Message, describe_alert
from supatoss.causes import failure
from supatoss.errors import SupatossError
from supatoss.store.alerts import UnsentAlert

SEND_SECONDS = 5.0
"""For the whole request; a target that is slow is tried again a minute later."""

SLACK_BLOCKS = 50
SLACK_SECTION_CHARACTERS = 3000

DISCORD_EMBEDS = 10
DISCORD_TITLE_CHARACTERS = 256
DISCORD_DESCRIPTION_CHARACTERS = 4096
DISCORD_TOTAL_CHARACTERS = 6000

_RED, _GREEN = 0xD92D20, 0x12B76A


class AlertNotSent(SupatossError):
    """The target did not accept a message. Never names the address, which is a secret."""


@dataclass(frozen=True, slots=True)
class Post:
    """One request, and the alerts that it tells of."""

    content: bytes
    alerts: Sequence[UnsentAlert]
    headers: Mapping[str, str] = field(default_factory=dict)


class Target(ABC):
    """An incoming webhook. ops_url: address of the operators' page that messages link to, or empty."""

    def __init__(self, url: str, language: Language = "both", ops_url: str = "") -> None:
        self._url = url
        self.language = language
        self.ops_url = ops_url

    @abstractmethod
    def compose(self, alerts: Sequence[UnsentAlert]) -> Iterator[Post]:
        """As few requests as possible, each with the alerts in it."""

    @abstractmethod
    def compose_test(self, text: str) -> Post:
        """A request that only shows that the target takes one."""

    async def send(self, post: Post) -> None:
        """Sends one request. Raises AlertNotSent unless the target accepted it."""
        try:
            async with httpx.AsyncClient(timeout=SEND_SECONDS, trust_env=False) as http:
                answer = await self.post(http, post)
        except (httpx.HTTPError, httpx.InvalidURL, ValueError) as error:
            raise AlertNotSent(f"no answer from ALERT_WEBHOOK_URL: {failure(error, 'ALERT_WEBHOOK_URL')}") from None
        if not answer.is_success:
            raise AlertNotSent(f"ALERT_WEBHOOK_URL answers with HTTP {answer.status_code}")

    async def post(self, http: httpx.AsyncClient, post: Post) -> httpx.Response:
        """The target's answer. Raises what httpx raises."""
        headers = {"content-type": "application/json", **post.headers}
        return await http.post(self._url, content=post.content, headers=headers)


class SlackTarget(Target):
    """An incoming webhook of Slack: one section an alert."""

    def compose(self, alerts: Sequence[UnsentAlert]) -> Iterator[Post]:
        """Up to 50 alerts a message."""
        for start in range(0, len(alerts), SLACK_BLOCKS):
            included = alerts[start : start + SLACK_BLOCKS]
            messages = [describe_alert(alert, self.language, self.ops_url, escape_slack) for alert in included]
            fallback = "\n".join(f"{message.title}: {message.lines[0]}" for message in messages)
            yield Post(_slack(fallback, [_section(message) for message in messages]), included)

    def compose_test(self, text: str) -> Post:
        """One section."""
        return Post(_slack(text, [escape_slack(text)]), ())


class DiscordTarget(Target):
    """An incoming webhook of Discord: one embed an alert. An embed mentions nobody."""

    def compose(self, alerts: Sequence[UnsentAlert]) -> Iterator[Post]:
        """Up to 10 alerts a message."""
        embeds: list[dict[str, Any]] = []
        included: list[UnsentAlert] = []
        for alert in alerts:
            embed = _embed(alert, describe_alert(alert, self.language, self.ops_url, escape_discord))
            if embeds and (len(embeds) == DISCORD_EMBEDS or _length([*embeds, embed]) > DISCORD_TOTAL_CHARACTERS):
                yield Post(_discord(embeds), included)
                embeds, included = [], []
            embeds.append(embed)
            included.append(alert)
        if embeds:
            yield Post(_discord(embeds), included)

    def compose_test(self, text: str) -> Post:
        """One embed."""
        return Post(_discord([{"title": "supatoss", "description": escape_discord(text)}]), ())


class JsonTarget(Target):
    """Anything else: one JSON object an alert, signed as a Standard Webhook where there is a secret."""

    def __init__(self, url: str, language: Language = "both", ops_url: str = "", secret: str | None = None) -> None:
        super().__init__(url, language, ops_url)
        self._key = base64.b64decode(secret.removeprefix("whsec_")) if secret else None

    def compose(self, alerts: Sequence[UnsentAlert]) -> Iterator[Post]:
        """One alert a request. webhook-id is the same when it is sent again, so that the receiver can see repeats."""
        for alert in alerts:
            message = describe_alert(alert, self.language, self.ops_url, str)
            is_set_aside = alert.phase == "end" and "set_aside_by" in alert.details
            phase = "set_aside" if is_set_aside else {"start": "started"}.get(alert.phase, "ended")
            content = {
                "type": f"supatoss.alert.{phase}",
                "timestamp": alert.ended_at or alert.started_at,
                "text": "\n".join([message.title, *message.lines]),
                "data": {
                    "id": alert.id,
                    "rule": alert.rule,
                    "subject": alert.subject,
                    "started_at": alert.started_at,
                    "ended_at": alert.ended_at,
                    "details": dict(alert.details),
                    "command": message.command,
                    "link": message.link,
                },
            }
            yield self._sign(f"{alert.id}-{alert.phase}", content, [alert])

    def compose_test(self, text: str) -> Post:
        """An object of a type of its own."""
        now = str(int(time.time()))
        return self._sign(f"test-{now}", {"type": "supatoss.test", "timestamp": now, "text": text, "data": {}}, ())

    def _sign(self, message_id: str, content: Mapping[str, Any], alerts: Sequence[UnsentAlert]) -> Post:
        body = json.dumps(content, ensure_ascii=False).encode()
        sent_at = str(int(time.time()))
        headers = {"webhook-id": message_id, "webhook-timestamp": sent_at}
        if self._key:
            signed = hmac.digest(self._key, f"{message_id}.{sent_at}.".encode() + body, hashlib.sha256)
            headers["webhook-signature"] = f"v1,{base64.b64encode(signed).decode()}"
        return Post(body, alerts, headers)


def open_target(url: str, language: Language = "both", ops_url: str = "", secret: str | None = None) -> Target:
    """The target at an address, by its host. Nothing is sent."""
    host = (urlsplit(url).hostname or "").lower()
    if host == "hooks.slack.com":
        return SlackTarget(url, language, ops_url)
    if host in ("discord.com", "discordapp.com") or host.endswith((".discord.com", ".discordapp.com")):
        return DiscordTarget(url, language, ops_url)
    return JsonTarget(url, language, ops_url, secret)


def escape_slack(text: str) -> str:
    """Text that Slack shows as it is: no mention, no link."""
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


def escape_discord(text: str) -> str:
    """Text that Discord shows as it is: no mention, no link, no format."""
    return "".join(f"\\{letter}" if letter in "\\*_~`|<>[]()#@:" else letter for letter in text)


def _section(message: Message) -> str:
    lines = [f"*{message.title}*", *message.lines]
    if message.command:
        lines.append(f"`{message.command}`")
    if message.link:
        lines.append(f"<{message.link}|/ops>")
    return "\n".join(lines)


def _slack(fallback: str, sections: Sequence[str]) -> bytes:
    blocks = [
        # verbatim: an address or a name in an order id does not become a link or a mention.
        {"type": "section", "text": {"type": "mrkdwn", "text": text[:SLACK_SECTION_CHARACTERS], "verbatim": True}}
        for text in sections
    ]
    body = {"text": fallback[:SLACK_SECTION_CHARACTERS], "blocks": blocks, "unfurl_links": False}
    return json.dumps(body, ensure_ascii=False).encode()


def _embed(alert: UnsentAlert, message: Message) -> dict[str, Any]:
    lines = [*message.lines, *([f"`{message.command}`"] if message.command else [])]
    return {
        "title": message.title[:DISCORD_TITLE_CHARACTERS],
        "description": "\n".join(lines)[:DISCORD_DESCRIPTION_CHARACTERS],
        "color": _RED if alert.phase == "start" else _GREEN,
        **({"url": message.link} if message.link else {}),
    }


def _length(embeds: Sequence[Mapping[str, Any]]) -> int:
    return sum(len(embed["title"]) + len(embed["description"]) for embed in embeds)


def _discord(embeds: Sequence[Mapping[str, Any]]) -> bytes:
    return json.dumps({"embeds": embeds, "allowed_mentions": {"parse": []}}, ensure_ascii=False).encode()
