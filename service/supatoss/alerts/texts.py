"""What alerts say, by rule, in English and Korean: plain text with the names of values in braces."""

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

from supatoss.alerts.rules import Rule


@dataclass(frozen=True, slots=True)
class Text:
    """A rule's message. command: what to type next. page: what to look at, below /ops/."""

    english: str
    korean: str
    command: str
    page: str = ""


TEXTS: Mapping[str, Text] = MappingProxyType(
    {
        Rule.EVENT_FAILED: Text(
            "{subject} needs review; failed events: {events} ({reason})",
            "담당자 확인이 필요한 이벤트가 {events}건 있습니다({subject}): {reason}",
            "supatoss events list --status failed",
            "events?status=failed",
        ),
        Rule.AMOUNT_MISMATCH: Text(
            "order {subject}: the paid amount differs from the stored amount ({error})",
            "결제 금액이 저장된 주문 금액과 다릅니다(주문 {subject}): {error}",
            "supatoss events list --status failed --order {subject}",
            "payment?order={subject}",
        ),
        Rule.DOUBLE_CHARGE: Text(
            "order {subject} was paid twice: {error}",
            "한 주문이 두 번 결제되었습니다(주문 {subject}): {error}",
            "supatoss events list --status failed --order {subject}",
            "payment?order={subject}",
        ),
        Rule.BACKLOG: Text(
            "an event has been pending for {minutes} minutes (limit: {limit_minutes})",
            "{minutes}분째 처리되지 않은 이벤트가 있습니다(기준 {limit_minutes}분)",
            "supatoss events list --status pending",
            "events?status=pending",
        ),
        Rule.REJECTED_SHARE: Text(
            "{rejected} of the last {deliveries} deliveries to {subject} were refused; check the Toss secret key",
            "최근 웹훅 {deliveries}건 중 {rejected}건을 거절했습니다({subject}). 시크릿 키를 확인하세요",
            "supatoss events refused",
            "refused",
        ),
        Rule.SILENCE: Text(
            "no webhook from Toss for {hours} hours; check that the webhook is still registered",
            "{hours}시간 동안 토스페이먼츠 웹훅을 수신하지 못했습니다. 웹훅이 등록되어 있는지 확인하세요",
            "supatoss events list --limit 1",
            "events",
        ),
        Rule.DONE_WITHOUT_APPROVAL: Text(
            "order {subject} is DONE but has no approval time",
            "결제 완료(DONE)인데 승인 시각이 없습니다(주문 {subject})",
            "supatoss events list --order {subject}",
            "payment?order={subject}",
        ),
        Rule.CANCELS_ABOVE_TOTAL: Text(
            "order {subject}: cancelled {canceled}, more than the paid {amount}",
            "취소 금액 {canceled}이 결제 금액 {amount}보다 큽니다(주문 {subject})",
            "supatoss events list --order {subject}",
            "payment?order={subject}",
        ),
        Rule.REFUND_FAILED: Text(
            "order {subject}: the refund to the buyer's account failed; the buyer hasn't received the money",
            "구매자 계좌로 환불하지 못했습니다. 구매자는 아직 돈을 받지 못했습니다(주문 {subject})",
            "supatoss events list --order {subject}",
            "payment?order={subject}",
        ),
        Rule.NOT_STORED: Text(
            "{failed} of the last {deliveries} deliveries to {subject} could not be stored; Toss sends them again",
            "최근 웹훅 {deliveries}건 중 {failed}건을 저장하지 못했습니다({subject}). 토스페이먼츠가 다시 보냅니다",
            "supatoss doctor",
        ),
        Rule.KEY_REFUSED: Text(
            "Toss refuses {subject} of TOSS_SECRET_KEY: {code}",
            "TOSS_SECRET_KEY의 {subject} 인증에 실패했습니다: {code}",
            "supatoss doctor",
        ),
        Rule.TOSS_AWAY: Text(
            "Toss's API has not answered for {minutes} minutes ({keys}): {problem}",
            "토스페이먼츠 API가 {minutes}분째 응답하지 않습니다({keys}): {problem}",
            "supatoss doctor",
        ),
        Rule.DATABASE_AWAY: Text(
            "{subject} has not been able to write to the database for {minutes} minutes: {problem}",
            "{minutes}분째 데이터베이스에 쓰지 못하고 있습니다({subject}): {problem}",
            "supatoss doctor",
        ),
        Rule.ALERTS_NOT_SENT: Text(
            "{subject} could not send alerts for {minutes} minutes: {problem}",
            "{minutes}분 동안 알림을 보내지 못했습니다({subject}): {problem}",
            "supatoss doctor --send-test-alert",
        ),
        Rule.PROCESS_GONE: Text(
            "process {subject} hasn't been seen for five minutes: it crashed or hangs",
            "프로세스가 5분 동안 응답하지 않습니다. 비정상 종료되었거나 멈췄습니다({subject})",
            "fly status",
        ),
        Rule.UNKNOWN_TYPE: Text(
            "deliveries of a type that this release doesn't know were answered 200 and not stored: {types}",
            "알 수 없는 종류의 웹훅에 200으로 응답했고 저장하지 않았습니다: {types}",
            "supatoss events refused",
            "refused",
        ),
        Rule.RECONCILIATION_DIFFERENCE: Text(
            "payments of {subject} that differ from Toss's records: {findings} ({kinds})",
            "{subject} 결제 {findings}건이 토스페이먼츠 거래 내역과 다릅니다: {kinds}",
            "supatoss reconcile --day {subject} --apply",
            "reconciliations?day={subject}",
        ),
    }
)

MORE = Text(
    "more than {shown} orders have events that need review; only the oldest have alerts of their own",
    "담당자 확인이 필요한 주문이 {shown}건을 넘었습니다. 가장 오래된 {shown}건만 따로 알립니다",
    "supatoss events list --status failed",
    "events?status=failed",
)

UNKNOWN = Text("{subject}", "확인이 필요합니다: {subject}", "supatoss events list")
"""For a rule of a newer release that shares the table."""
