"""Where alerts are sent: an incoming webhook that takes Slack's or Discord's JSON."""

import httpx

from supatoss.errors import SupatossError

SEND_SECONDS = 5.0
"""For the whole answer; a chat that takes longer is asked again a minute later."""


class NotTold(SupatossError):
    """The target did not take a message. Never names the address, which is a secret."""


class ChatWebhook:
    """An incoming webhook. `text` is what Slack reads, `content` what Discord reads; each ignores the other's."""

    def __init__(self, url: str) -> None:
        self._url = url

    async def send(self, text: str) -> None:
        """Sends one message. Raises NotTold when it was not taken, as far as is known."""
        body = {"text": text, "content": text, "allowed_mentions": {"parse": []}}
        try:
            async with httpx.AsyncClient(timeout=SEND_SECONDS, trust_env=False) as http:
                answer = await http.post(self._url, json=body)
        except (httpx.HTTPError, httpx.InvalidURL, ValueError) as error:
            raise NotTold(f"no answer from ALERT_WEBHOOK_URL: {type(error).__name__}") from None
        if not answer.is_success:
            raise NotTold(f"ALERT_WEBHOOK_URL answers with HTTP {answer.status_code}")
