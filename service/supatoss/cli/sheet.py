"""What is entered in Toss's developer centre for one deployment, with the checklists, in English and Korean."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from enum import StrEnum
from typing import Any

WEBHOOK_NAME = "Destiny.OS 결제 웹훅"
DEVELOPER_CENTRE = "https://developers.tosspayments.com"
SQL = "SELECT * FROM webhook_events ORDER BY created_at DESC LIMIT 10;"

BOXES = ("PAYMENT_STATUS_CHANGED", "DEPOSIT_CALLBACK", "CANCEL_STATUS_CHANGED", "BILLING_DELETED", "payout.changed")
"""The boxes to tick for the merchant guide's six events; events that Toss never sends have no box."""


class SheetLanguage(StrEnum):
    """Languages of operators."""

    EN = "en"
    KO = "ko"


@dataclass(frozen=True, slots=True)
class Sheet:
    """The form's fields, the merchant guide's events by Toss's names, and the two checklists."""

    language: SheetLanguage
    name: str
    url: str
    environment: str
    boxes: Sequence[str]
    guide_events: Sequence[tuple[str, str]]
    registration: Sequence[str]
    production: Sequence[str]

    def to_json(self) -> dict[str, Any]:
        """Fields for JSON."""
        return asdict(self)


_GUIDE_EVENTS = {
    SheetLanguage.EN: (
        ("PAYMENT_STATUS_CHANGED", "PAYMENT_STATUS_CHANGED: the most important one"),
        ("VIRTUAL_ACCOUNT_ISSUED", "DEPOSIT_CALLBACK, with the status WAITING_FOR_DEPOSIT"),
        ("VIRTUAL_ACCOUNT_DEPOSIT", "DEPOSIT_CALLBACK, with the status DONE"),
        ("BILLING_KEY_ISSUED", "no box: the key comes in the answer to the request, and no webhook follows"),
        ("BILLING_KEY_DELETED", "BILLING_DELETED"),
        ("SETTLEMENT_COMPLETED", "no box: no webhook; payouts to sellers are payout.changed"),
    ),
    SheetLanguage.KO: (
        ("PAYMENT_STATUS_CHANGED", "PAYMENT_STATUS_CHANGED: 가장 중요한 이벤트"),
        ("VIRTUAL_ACCOUNT_ISSUED", "DEPOSIT_CALLBACK, 상태 WAITING_FOR_DEPOSIT"),
        ("VIRTUAL_ACCOUNT_DEPOSIT", "DEPOSIT_CALLBACK, 상태 DONE"),
        ("BILLING_KEY_ISSUED", "항목 없음: 발급 요청의 응답으로 받으며 웹훅은 오지 않습니다"),
        ("BILLING_KEY_DELETED", "BILLING_DELETED"),
        ("SETTLEMENT_COMPLETED", "항목 없음: 웹훅은 오지 않습니다. 셀러 지급은 payout.changed"),
    ),
}

_REGISTRATION = {
    SheetLanguage.EN: (
        "signed in to {centre} with the merchant ID (MID) of these keys",
        "Webhook > Register: name and URL entered exactly as above (no redirect, no www)",
        "environment: {environment}",
        "every box above is ticked",
        "reception tested: supatoss register --wait, then a test payment",
        "the row is in the SQL Editor: {sql}",
    ),
    SheetLanguage.KO: (
        "{centre}에 이 키의 상점아이디(MID)로 로그인했습니다",
        "웹훅 > 웹훅 등록하기: 이름과 URL을 위와 똑같이 입력했습니다 (리다이렉트와 www 없이)",
        "환경: {environment}",
        "위의 이벤트를 모두 선택했습니다",
        "수신을 테스트했습니다: supatoss register --wait 실행 후 테스트 결제",
        "SQL Editor에서 행을 확인했습니다: {sql}",
    ),
}

_PRODUCTION = {
    SheetLanguage.EN: (
        "the URL is registered again in the live environment",
        "TOSS_SECRET_KEY is the live key, and its signatures verify: supatoss sign, supatoss verify",
        "alerts are set up: ALERT_WEBHOOK_URL, then supatoss doctor --send-test-alert",
        "supatoss doctor reports nothing failed",
    ),
    SheetLanguage.KO: (
        "라이브 환경에 URL을 다시 등록했습니다",
        "TOSS_SECRET_KEY가 라이브 키이고, 그 키로 만든 서명이 검증됩니다: supatoss sign, supatoss verify",
        "웹훅 모니터링 알림을 설정했습니다: ALERT_WEBHOOK_URL 설정 후 supatoss doctor --send-test-alert",
        "supatoss doctor 결과에 failed가 없습니다",
    ),
}

_ENVIRONMENTS = {
    SheetLanguage.EN: {"test": "test", "live": "live", "unknown": "test while developing, live in production"},
    SheetLanguage.KO: {"test": "테스트", "live": "라이브", "unknown": "개발 중에는 테스트, 운영에서는 라이브"},
}

LABELS = {
    SheetLanguage.EN: {
        "name": "name",
        "url": "URL",
        "environment": "environment",
        "boxes": "events",
        "guide_events": "Events of the merchant guide, by Toss's names",
        "registration": "Registration checklist",
        "production": "Checklist before production",
    },
    SheetLanguage.KO: {
        "name": "이름",
        "url": "URL",
        "environment": "환경",
        "boxes": "이벤트",
        "guide_events": "연동 가이드의 이벤트와 토스 이벤트",
        "registration": "등록 체크리스트",
        "production": "운영 전 체크리스트",
    },
}


def make_sheet(url: str, key_kind: str, language: SheetLanguage) -> Sheet:
    """The sheet of one deployment. key_kind: test, live or unknown, from the secret key."""
    environment = _ENVIRONMENTS[language][key_kind]
    words = {"centre": DEVELOPER_CENTRE, "environment": environment, "sql": SQL}
    return Sheet(
        language,
        WEBHOOK_NAME,
        url,
        environment,
        BOXES,
        _GUIDE_EVENTS[language],
        tuple(item.format(**words) for item in _REGISTRATION[language]),
        _PRODUCTION[language],
    )


def to_text(sheet: Sheet) -> str:
    """The sheet for a terminal or an editor."""
    labels = LABELS[sheet.language]
    fields = [
        (labels["name"], sheet.name),
        (labels["url"], sheet.url),
        (labels["environment"], sheet.environment),
        (labels["boxes"], ", ".join(sheet.boxes)),
    ]
    return "\n".join(
        [
            f"{DEVELOPER_CENTRE} > Webhook",
            "",
            *(f"{label}: {value}" for label, value in fields),
            "",
            f"{labels['guide_events']}:",
            *(f"  {ours} → {theirs}" for ours, theirs in sheet.guide_events),
            "",
            f"{labels['registration']}:",
            *(f"  [ ] {item}" for item in sheet.registration),
            "",
            f"{labels['production']}:",
            *(f"  [ ] {item}" for item in sheet.production),
        ]
    )
