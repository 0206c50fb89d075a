"""What the shop says about an order."""

from datetime import datetime
from typing import Any

WAITING = ("PENDING", "READY", "IN_PROGRESS", "WAITING_FOR_DEPOSIT")

TITLES = {
    "WAITING_FOR_DEPOSIT": "입금을 기다리고 있습니다",
    "DONE": "결제가 완료되었습니다",
    "PARTIAL_CANCELED": "일부 금액이 환불되었습니다",
    "CANCELED": "결제가 취소되었습니다",
    "ABORTED": "결제가 승인되지 않았습니다",
    "FAILED": "결제가 승인되지 않았습니다",
    "EXPIRED": "결제 시간이 지났습니다",
}

BANKS = {"04": "국민은행", "20": "우리은행", "81": "하나은행", "88": "신한은행"}
"""Some of Toss's two-digit codes."""


def describe(order: dict[str, Any]) -> dict[str, Any]:
    """A row of `payments` in words, for the page and for its polling."""
    status = order["payment_status"]
    details = []
    if status == "WAITING_FOR_DEPOSIT" and (account := order["virtual_account"]):
        bank = BANKS.get(account["bankCode"], account["bankCode"])
        details.append(["입금 계좌", f"{bank} {account['accountNumber']}"])
        details.append(["입금 기한", f"{datetime.fromisoformat(account['dueDate']):%Y-%m-%d %H:%M}"])
    if status in ("ABORTED", "FAILED") and order["failure_message"]:
        details.append(["사유", order["failure_message"]])
    return {
        "status": status,
        "title": TITLES.get(status, "결제를 확인하고 있습니다"),
        "details": details,
        "isWaiting": status in WAITING,
    }


def describe_failure(code: str) -> str:
    """What `code` of failUrl means. Its `message` comes from the address bar and is not shown."""
    return {
        "PAY_PROCESS_CANCELED": "결제를 취소했습니다.",
        "REJECT_CARD_COMPANY": "카드사에서 결제를 거절했습니다. 다른 카드로 다시 시도해 주세요.",
    }.get(code, "결제하지 못했습니다. 다시 시도해 주세요.")
