"""Alert messages: English, a line of Korean and a command, without secrets or payloads; and sending them."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import httpx

from supatoss.alerts.rules import Rule
from supatoss.errors import SupatossError
from supatoss.store.alerts import UnsentAlert

MAX_CHARACTERS = 1900
"""Per message: Discord refuses more than 2,000 characters, Slack takes more."""

MAX_VALUE_CHARACTERS = 200

SEND_SECONDS = 5.0
"""For the whole request; a slow chat is tried again a minute later."""

_MARKUP = str.maketrans({"<": "‹", ">": "›", "&": "+", "@": "＠", "`": "'", "*": "∗", "|": "¦"})
"""Characters that Slack or Discord turn into mentions, links and formats; an order id comes from outside."""

_TEXTS: Mapping[str, tuple[str, str, str]] = {
    Rule.EVENT_FAILED: (
        "{events} event(s) of {subject} need manual review: {reason}",
        "담당자 확인이 필요한 이벤트가 {events}건 있습니다 ({subject})",
        "supatoss events list --status failed",
    ),
    Rule.AMOUNT_MISMATCH: (
        "order {subject}: the paid amount differs from the stored amount ({error})",
        "결제 금액이 저장된 주문 금액과 다릅니다 (주문 {subject})",
        "supatoss events list --status failed --order {subject}",
    ),
    Rule.DOUBLE_CHARGE: (
        "order {subject} was paid twice: {error}",
        "이중 결제된 주문이 있습니다 (주문 {subject})",
        "supatoss events list --status failed --order {subject}",
    ),
    Rule.BACKLOG: (
        "an event has been pending for {minutes} minutes (limit: {limit_minutes})",
        "{minutes}분째 처리되지 않은 이벤트가 있습니다",
        "supatoss events list --status pending",
    ),
    Rule.REJECTED_SHARE: (
        "{rejected} of the last {deliveries} deliveries to {subject} were rejected; check the Toss secret key",
        "최근 웹훅 {deliveries}건 중 {rejected}건을 거절했습니다({subject}). 시크릿 키를 확인하세요",
        "supatoss events refused",
    ),
    Rule.SILENCE: (
        "no webhook from Toss for {hours} hours; check that the webhook is still registered",
        "{hours}시간 동안 토스페이먼츠 웹훅을 받지 못했습니다. 웹훅 등록 상태를 확인하세요",
        "supatoss events list --limit 1",
    ),
    Rule.DONE_WITHOUT_APPROVAL: (
        "order {subject} is DONE but has no approval time",
        "결제 완료인데 승인 시각이 없는 주문이 있습니다 (주문 {subject})",
        "supatoss events list --order {subject}",
    ),
    Rule.CANCELS_ABOVE_TOTAL: (
        "order {subject}: cancelled {canceled}, more than the paid {amount}",
        "취소 금액이 결제 금액보다 큽니다 (주문 {subject})",
        "supatoss events list --order {subject}",
    ),
    Rule.REFUND_FAILED: (
        "order {subject}: the refund to the buyer's account failed; the buyer has not got the money",
        "구매자 계좌로 환불하지 못했습니다 (주문 {subject})",
        "supatoss events list --order {subject}",
    ),
    Rule.NOT_STORED: (
        "{failed} of the last {deliveries} deliveries to {subject} could not be stored; Toss sends them again",
        "최근 웹훅 {deliveries}건 중 {failed}건을 저장하지 못했습니다({subject}). 토스페이먼츠가 다시 보냅니다",
        "supatoss doctor",
    ),
    Rule.KEY_REFUSED: (
        "Toss refuses {subject} of TOSS_SECRET_KEY: {code}",
        "TOSS_SECRET_KEY의 {subject} 인증에 실패했습니다: {code}",
        "supatoss doctor",
    ),
    Rule.TOSS_AWAY: (
        "Toss's API has not answered for {minutes} minutes ({keys}): {problem}",
        "토스페이먼츠 API가 {minutes}분째 응답하지 않습니다 ({keys}): {problem}",
        "supatoss doctor",
    ),
    Rule.DATABASE_AWAY: (
        "{subject} has not been able to write to the database for {minutes} minutes: {problem}",
        "{subject}이(가) {minutes}분째 데이터베이스에 쓰지 못하고 있습니다: {problem}",
        "supatoss doctor",
    ),
    Rule.ALERTS_NOT_SENT: (
        "{subject} could not send alerts for {minutes} minutes: {problem}",
        "{subject}이(가) {minutes}분 동안 알림을 보내지 못했습니다: {problem}",
        "supatoss doctor --send-test-alert",
    ),
    Rule.PROCESS_GONE: (
        "process {subject} stopped without a goodbye; nothing was heard of it for five minutes",
        "프로세스 {subject}이(가) 비정상 종료되었거나 응답하지 않습니다 (5분 이상)",
        "fly status",
    ),
}
_MORE = (
    "events of more than {shown} orders need manual review; only the oldest ones have alerts of their own",
    "담당자 확인이 필요한 주문이 {shown}건을 넘었습니다",
    "supatoss events list --status failed",
)
_UNKNOWN = ("{subject}", "확인이 필요합니다", "supatoss events list")
"""For a rule of a newer release that shares the table."""


def describe_alert(alert: UnsentAlert) -> str:
    """One alert as lines of text."""
    texts = _MORE if alert.subject == "more" else _TEXTS.get(alert.rule, _UNKNOWN)
    values = _Values({**alert.details, "subject": alert.subject})
    english, korean, hint = (text.format_map(values) for text in texts)
    if alert.phase == "end" and (actor := alert.details.get("set_aside_by")):
        return (
            f"☑️ {_clean(alert.rule)} set aside by {_clean(actor)}: {english}\n{_clean(actor)}이(가) 무시 처리: {korean}"
        )
    if alert.phase == "end":
        return f"✅ {_clean(alert.rule)} resolved: {english}\n해결됨: {korean}"
    return f"🚨 {_clean(alert.rule)}: {english}\n{korean}\n→ {hint}"


def compose(alerts: Sequence[UnsentAlert]) -> Iterator[tuple[str, list[UnsentAlert]]]:
    """As few messages as possible, each with the alerts in it."""
    included: list[UnsentAlert] = []
    text = ""
    for alert in alerts:
        lines = describe_alert(alert)[:MAX_CHARACTERS]
        if included and len(text) + 1 + len(lines) > MAX_CHARACTERS:
            yield text, included
            included, text = [], ""
        text = f"{text}\n{lines}" if text else lines
        included.append(alert)
    if included:
        yield text, included


class _Values(dict[str, Any]):
    """Values for a text, cleaned and cut; a missing one is a dash."""

    def __getitem__(self, name: str) -> str:
        value = self.get(name)
        return "-" if value is None else _clean(value)


def _clean(value: object) -> str:
    text = "".join(letter if letter.isprintable() else " " for letter in str(value))
    return text.translate(_MARKUP)[:MAX_VALUE_CHARACTERS]


class AlertNotSent(SupatossError):
    """The chat did not accept a message. Never names the address, which is a secret."""


class ChatWebhook:
    """An incoming webhook of Slack, which reads `text`, or of Discord, which reads `content`."""

    def __init__(self, url: str) -> None:
        self._url = url

    async def send(self, text: str) -> None:
        """Sends one message. Raises AlertNotSent unless the chat accepted it."""
        body = {"text": text, "content": text, "allowed_mentions": {"parse": []}}
        try:
            async with httpx.AsyncClient(timeout=SEND_SECONDS, trust_env=False) as http:
                answer = await http.post(self._url, json=body)
        except (httpx.HTTPError, httpx.InvalidURL, ValueError) as error:
            raise AlertNotSent(f"no answer from ALERT_WEBHOOK_URL: {type(error).__name__}") from None
        if not answer.is_success:
            raise AlertNotSent(f"ALERT_WEBHOOK_URL answers with HTTP {answer.status_code}")
