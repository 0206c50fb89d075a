"""Errors of Toss: the code decides the HTTP status and the message.

Source: docs.tosspayments.com, error codes; where Toss publishes no status, this is our guess.
"""

from typing import NamedTuple

FALLBACK_STATUS = 400


class _Known(NamedTuple):
    status: int
    korean: str
    english: str


_KNOWN: dict[str, _Known] = {
    "ALREADY_CANCELED_PAYMENT": _Known(400, "이미 취소된 결제 입니다.", "The payment has already been canceled."),
    "ALREADY_PROCESSED_PAYMENT": _Known(400, "이미 처리된 결제 입니다.", "The payment has already been processed."),
    "ALREADY_REMOVED_BILLING_KEY": _Known(
        400, "이미 삭제된 빌링키 입니다.", "The billing key has already been removed."
    ),
    "DUPLICATED_ORDER_ID": _Known(
        400, "이미 승인 및 취소가 진행된 중복된 주문번호 입니다.", "This order id was already approved or canceled."
    ),
    "INVALID_API_KEY": _Known(400, "잘못된 시크릿키 연동 정보 입니다.", "The secret key is not the right one here."),
    "INVALID_BILL_KEY_REQUEST": _Known(
        400,
        "빌링키 인증이 완료되지 않았거나 유효하지 않은 빌링 거래 건입니다.",
        "Billing key authentication is not valid.",
    ),
    "INVALID_IDEMPOTENCY_KEY": _Known(
        400, "멱등키는 300자 이하여야 합니다.", "The idempotency key is longer than 300 characters."
    ),
    "INVALID_REFUND_ACCOUNT_INFO": _Known(
        400, "환불 계좌번호와 예금주명이 일치하지 않습니다.", "The refund account is not valid."
    ),
    "INVALID_REFUND_ACCOUNT_NUMBER": _Known(
        400, "잘못된 환불 계좌번호입니다.", "The refund account number is not valid."
    ),
    "INVALID_REQUEST": _Known(400, "잘못된 요청입니다.", "The request is invalid."),
    "NOT_MATCHES_CUSTOMER_KEY": _Known(
        400,
        "빌링 인증 고객키와 결제 요청 고객키가 일치하지 않습니다.",
        "The customer key does not match the billing key.",
    ),
    "NOT_MATCHES_REFUNDABLE_AMOUNT": _Known(
        400, "잔액 결과가 일치하지 않습니다.", "The refundable amount does not match."
    ),
    "PROVIDER_ERROR": _Known(
        400, "일시적인 오류가 발생했습니다. 잠시 후 다시 시도해주세요.", "Temporary error. Try again later."
    ),
    "REFUND_REJECTED": _Known(400, "환불이 거절됐습니다.", "The refund was rejected."),
    "UNAUTHORIZED_KEY": _Known(
        401, "인증되지 않은 시크릿 키 혹은 클라이언트 키 입니다.", "Unauthenticated secret key."
    ),
    "EXCEED_MAX_REFUND_DUE": _Known(403, "환불 가능한 기간이 지났습니다.", "The refund period has passed."),
    "FORBIDDEN_CONSECUTIVE_REQUEST": _Known(
        403, "반복적인 요청은 허용되지 않습니다. 잠시 후 다시 시도해주세요.", "Repeated requests are not allowed."
    ),
    "FORBIDDEN_REQUEST": _Known(403, "허용되지 않은 요청입니다.", "The request is not allowed."),
    "INCORRECT_BASIC_AUTH_FORMAT": _Known(
        403, "잘못된 요청입니다. ':' 를 포함해 인코딩해주세요.", "Encode the key with a colon behind it."
    ),
    "NOT_ALLOWED_PARTIAL_REFUND": _Known(403, "부분 환불이 불가한 결제입니다.", "Partial refund is not possible."),
    "NOT_ALLOWED_PARTIAL_REFUND_WAITING_DEPOSIT": _Known(
        403,
        "입금 대기중인 결제는 부분 환불이 불가합니다.",
        "A payment that waits for its deposit cannot be refunded in part.",
    ),
    "NOT_CANCELABLE_AMOUNT": _Known(403, "취소 할 수 없는 금액 입니다.", "The amount cannot be canceled."),
    "NOT_CANCELABLE_PAYMENT": _Known(403, "취소 할 수 없는 결제 입니다.", "The payment cannot be canceled."),
    "REJECT_ACCOUNT_PAYMENT": _Known(403, "잔액부족으로 결제에 실패했습니다.", "Not enough balance."),
    "REJECT_CARD_COMPANY": _Known(403, "결제 승인이 거절되었습니다.", "The card company rejected the payment."),
    "REJECT_CARD_PAYMENT": _Known(
        403, "한도초과 혹은 잔액부족으로 결제에 실패했습니다.", "Card limit or balance exceeded."
    ),
    "NOT_FOUND": _Known(404, "존재하지 않는 정보 입니다.", "Not found."),
    "NOT_FOUND_BILLING": _Known(404, "존재하지 않는 빌링 결제 인증 정보 입니다.", "The billing key does not exist."),
    "NOT_FOUND_PAYMENT": _Known(404, "존재하지 않는 결제 입니다.", "The payment does not exist."),
    "NOT_FOUND_PAYMENT_SESSION": _Known(
        404, "결제 시간이 만료되어 결제 진행 데이터가 존재하지 않습니다.", "The payment session does not exist."
    ),
    "IDEMPOTENT_REQUEST_PROCESSING": _Known(
        409, "이전 멱등 요청이 처리중입니다.", "The earlier request with this idempotency key is in progress."
    ),
    "TOO_MANY_REQUESTS": _Known(429, "요청이 너무 많습니다.", "Too many requests."),
    "COMMON_ERROR": _Known(500, "일시적인 오류가 발생했습니다.", "Temporary error."),
    "UNKNOWN_ERROR": _Known(500, "알 수 없는 오류가 발생했습니다.", "Unknown error."),
}


class TossError(Exception):
    """An error answer of the API. `detail` is appended to the message, as Toss does for bad parameters."""

    def __init__(self, code: str, detail: str = "") -> None:
        self.code = code
        self.status = status_of(code)
        self.detail = detail
        super().__init__(self.message())

    def message(self, *, english: bool = False) -> str:
        """The text of the error, in Korean unless English was asked for."""
        known = _KNOWN.get(self.code)
        text = (known.english if english else known.korean) if known else self.code
        return f"{text} {self.detail}".strip()


class NotPossible(Exception):
    """A step that the payment's state does not allow; the message says why."""


def status_of(code: str) -> int:
    """The HTTP status of an error code; unknown ones are 500 for FAILED_…, else 400."""
    if known := _KNOWN.get(code):
        return known.status
    return 500 if code.startswith("FAILED_") else FALLBACK_STATUS


def code_for(status: int) -> str:
    """A code for an HTTP status, for faults that name only the status."""
    return {
        400: "PROVIDER_ERROR",
        401: "UNAUTHORIZED_KEY",
        403: "FORBIDDEN_REQUEST",
        404: "NOT_FOUND",
        409: "IDEMPOTENT_REQUEST_PROCESSING",
        429: "TOO_MANY_REQUESTS",
    }.get(status, "FAILED_INTERNAL_SYSTEM_PROCESSING" if status == 500 else "COMMON_ERROR")
