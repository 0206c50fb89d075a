"""What alerts say in Korean: names of rules and reasons, which the operators' page shares, and stored errors. Pure."""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

from supatoss.alerts.rules import Rule
from supatoss.readable import money
from supatoss.store.last_error import DIFFERING, TWICE

RULES: Mapping[str, str] = MappingProxyType(
    {
        Rule.EVENT_FAILED: "담당자 확인이 필요한 이벤트",
        Rule.AMOUNT_MISMATCH: "결제 금액 불일치",
        Rule.DOUBLE_CHARGE: "이중 결제",
        Rule.BACKLOG: "처리 지연",
        Rule.REJECTED_SHARE: "웹훅 거절",
        Rule.SILENCE: "웹훅 수신 없음",
        Rule.DONE_WITHOUT_APPROVAL: "승인 시각 없음",
        Rule.CANCELS_ABOVE_TOTAL: "취소 금액 초과",
        Rule.REFUND_FAILED: "환불 실패",
        Rule.NOT_STORED: "웹훅 저장 실패",
        Rule.KEY_REFUSED: "시크릿 키 인증 실패",
        Rule.TOSS_AWAY: "토스페이먼츠 응답 없음",
        Rule.DATABASE_AWAY: "데이터베이스 장애",
        Rule.ALERTS_NOT_SENT: "알림 전송 실패",
        Rule.PROCESS_GONE: "프로세스 중단",
        Rule.UNKNOWN_TYPE: "알 수 없는 웹훅 종류",
        Rule.RECONCILIATION_DIFFERENCE: "토스 거래 내역과 다름",
    }
)

REASONS: Mapping[str, str] = MappingProxyType(
    {
        "none": "사유 없음",
        "amount_mismatch": "금액 불일치",
        "approval_amount_mismatch": "승인 전 금액 불일치",
        "too_many_events": "한 주문에 이벤트가 너무 많음",
        "double_charge": "이중 결제",
        "ambiguous_subscription": "사용 중인 구독이 여러 개",
        "malformed": "본문 해석 불가",
        "refused_by_database": "데이터베이스가 거절",
        "hook_failed": "직접 만든 함수 오류",
        "no_stored_amount": "저장된 주문 금액 없음",
        "unknown_order": "주문 확인 전",
        "check_deposit": "입금 확인 대기",
        "find_payment": "결제 조회 대기",
        "toss_disagrees": "토스에서 아직 확인되지 않음",
        "not_borne_out": "토스에서 확인되지 않음",
        "unavailable": "토스 응답 없음",
        "not_found": "토스에 없는 결제",
        "refused": "토스가 요청을 거절",
        "misconfigured": "시크릿 키 인증 실패",
        "unknown_status": "알 수 없는 결제 상태",
        "unknown_type": "알 수 없는 종류",
        "no_projection": "변경할 행 없음",
        "adopted": "supatoss 도입 전 기록",
        "not_recorded_by_supatoss": "다른 프로그램이 기록",
        "operator": "담당자가 무시",
    }
)
"""Names of webhook_events.reason; none: an event without one."""


KINDS: Mapping[str, str] = MappingProxyType(
    {
        "missing": "우리 기록에 없음",
        "extra": "토스페이먼츠에 없음",
        "amount": "금액 다름",
        "status": "상태 다름",
        "time": "시각 다름",
        "double_charge": "이중 결제",
    }
)
"""Names of kinds of differences."""


def named(code: str, names: Mapping[str, str]) -> str:
    """A name with its code, as it stands in the log and the documents; the code alone if it has no name."""
    return f"{names[code]}({code})" if code in names else code


def in_korean(details: Mapping[str, Any]) -> dict[str, Any]:
    """The details of an alert in Korean: reason, stored error and kinds of differences, as far as they are known."""
    translated = dict(details)
    if reason := details.get("reason"):
        translated["reason"] = named(str(reason), REASONS)
    if error := details.get("error"):
        translated["error"] = _error(str(error))
    if kinds := details.get("kinds"):
        translated["kinds"] = ", ".join(map(_kind, str(kinds).split(", ")))
    return translated


def _error(text: str) -> str:
    if found := DIFFERING.search(text):
        return f"토스 {money(found[1], found[2])} · 저장 {money(found[3], found[4])}"
    if found := TWICE.search(text):
        return f"이 결제 {found[1]} · 첫 결제 {found[2]}"
    return text


def _kind(counted: str) -> str:
    """`missing 3`, as rules.py writes it."""
    kind, _, count = counted.partition(" ")
    return f"{KINDS[kind]} {count}건" if kind in KINDS else counted
