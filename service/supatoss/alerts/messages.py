"""Alerts in words: English, a line of Korean, and what to type. No secret and no payload is in them. Pure."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import httpx

from supatoss.alerts.rules import Rule
from supatoss.errors import SupatossError
from supatoss.store.alerts import UntoldAlert

MAX_CHARACTERS = 1900
"""Of one message: Discord refuses more than 2,000 characters, Slack takes more."""

MAX_VALUE_CHARACTERS = 200

_STEERING = str.maketrans({"<": "‹", ">": "›", "&": "+", "@": "＠", "`": "'", "*": "∗", "|": "¦"})
"""Letters that make mentions, links and formats in Slack or Discord; an order id comes from outside."""

_WORDS: Mapping[str, tuple[str, str, str]] = {
    Rule.EVENT_FAILED: (
        "an event needs a person: {reason}, order {order_id}",
        "처리하지 못한 이벤트가 있습니다 (주문 {order_id})",
        "supatoss events show {subject}",
    ),
    Rule.AMOUNT_MISMATCH: (
        "the amount differs from what the application stored, order {order_id}: {error}",
        "결제 금액이 저장된 주문 금액과 다릅니다 (주문 {order_id})",
        "supatoss events show {subject}",
    ),
    Rule.DOUBLE_CHARGE: (
        "an order is paid twice: {error}",
        "한 주문이 두 번 결제되었습니다 (주문 {order_id})",
        "supatoss events show {subject}",
    ),
    Rule.BACKLOG: (
        "the oldest waiting event has waited for {minutes} minutes, the limit is {limit_minutes}",
        "대기 중인 이벤트가 {minutes}분째 처리되지 않았습니다",
        "supatoss events list --status pending",
    ),
    Rule.REJECTED_SHARE: (
        "{rejected} of the last {deliveries} deliveries to {subject} were refused: is a key of Toss wrong?",
        "최근 웹훅 {deliveries}건 중 {rejected}건이 거부되었습니다. 토스 키를 확인하세요",
        "the service's log lines with outcome=rejected say why",
    ),
    Rule.SILENCE: (
        "nothing has come from Toss for {hours} hours: is the webhook still registered?",
        "{hours}시간 동안 토스에서 웹훅이 오지 않았습니다. 등록 상태를 확인하세요",
        "supatoss events list --limit 1",
    ),
    Rule.DONE_WITHOUT_APPROVAL: (
        "order {subject} is DONE without an approval time",
        "승인 시각 없이 결제 완료로 표시된 주문이 있습니다 (주문 {subject})",
        "supatoss events list --order {subject}",
    ),
    Rule.CANCELS_ABOVE_TOTAL: (
        "order {subject} cost {amount}, and {canceled} of it is cancelled",
        "취소 금액이 결제 금액보다 큽니다 (주문 {subject})",
        "supatoss events list --order {subject}",
    ),
}
_MORE = (
    "more than {shown} events need a person; only the oldest have alerts of their own",
    "처리하지 못한 이벤트가 {shown}건보다 많습니다",
    "supatoss events list --status failed",
)
_UNKNOWN = ("{subject}", "확인이 필요합니다", "supatoss events list")
"""A rule of a newer release, which noted its alert in the same table."""


def describe_alert(alert: UntoldAlert) -> str:
    """One alert as lines of text."""
    words = _MORE if alert.subject == "more" else _WORDS.get(alert.rule, _UNKNOWN)
    values = _Shown({**alert.details, "subject": alert.subject})
    english, korean, to_type = (text.format_map(values) for text in words)
    if alert.phase == "end":
        return f"✅ {_clean(alert.rule)} ended: {english}\n해결됨: {korean}"
    return f"🚨 {_clean(alert.rule)}: {english}\n{korean}\n→ {to_type}"


def compose(alerts: Sequence[UntoldAlert]) -> Iterator[tuple[str, list[UntoldAlert]]]:
    """As few messages as hold all of them, each with the alerts that it tells of."""
    told: list[UntoldAlert] = []
    text = ""
    for alert in alerts:
        lines = describe_alert(alert)[:MAX_CHARACTERS]
        if told and len(text) + 1 + len(lines) > MAX_CHARACTERS:
            yield text, told
            told, text = [], ""
        text = f"{text}\n{lines}" if text else lines
        told.append(alert)
    if told:
        yield text, told


class _Shown(dict[str, Any]):
    """Values for a text: cleaned and cut; what is missing is a dash."""

    def __getitem__(self, name: str) -> str:
        value = self.get(name)
        return "-" if value is None else _clean(value)


def _clean(value: object) -> str:
    text = "".join(letter if letter.isprintable() else " " for letter in str(value))
    return text.translate(_STEERING)[:MAX_VALUE_CHARACTERS]


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
