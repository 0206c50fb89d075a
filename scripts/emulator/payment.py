"""One payment and its state machine: no webhooks and no HTTP."""

import datetime as dt
from dataclasses import dataclass, field
from decimal import Decimal
from enum import StrEnum
from typing import Any

from scripts.emulator.errors import NotPossible, TossError
from scripts.emulator.formats import now

DEPOSIT_WINDOW = dt.timedelta(days=7)


class Status(StrEnum):
    """Status of a payment."""

    READY = "READY"
    IN_PROGRESS = "IN_PROGRESS"
    WAITING_FOR_DEPOSIT = "WAITING_FOR_DEPOSIT"
    DONE = "DONE"
    CANCELED = "CANCELED"
    PARTIAL_CANCELED = "PARTIAL_CANCELED"
    ABORTED = "ABORTED"
    EXPIRED = "EXPIRED"


class Method(StrEnum):
    """Payment methods as the API writes them; the members are named as in the browser SDK."""

    CARD = "카드"
    VIRTUAL_ACCOUNT = "가상계좌"
    EASY_PAY = "간편결제"
    MOBILE_PHONE = "휴대폰"
    TRANSFER = "계좌이체"
    CULTURE_GIFT_CERTIFICATE = "문화상품권"
    BOOK_GIFT_CERTIFICATE = "도서문화상품권"
    GAME_GIFT_CERTIFICATE = "게임문화상품권"
    FOREIGN_EASY_PAY = "해외간편결제"

    @property
    def is_partly_cancelable(self) -> bool:
        """Whether partial cancels are possible by default."""
        return self in (Method.CARD, Method.VIRTUAL_ACCOUNT, Method.TRANSFER, Method.FOREIGN_EASY_PAY)


APPROVED = (Status.DONE, Status.PARTIAL_CANCELED, Status.CANCELED)
_UNFINISHED = (Status.READY, Status.IN_PROGRESS)


@dataclass
class Cancel:
    """One cancel. An asynchronous one is IN_PROGRESS until its result."""

    transaction_key: str
    reason: str
    amount: Decimal
    refundable: Decimal
    canceled_at: dt.datetime
    request_id: str | None = None
    status: str = "DONE"


@dataclass
class Payment:
    """A payment. Every method is one transition, and raises if it is not allowed now."""

    payment_key: str
    order_id: str
    order_name: str
    m_id: str
    method: Method
    currency: str
    total: Decimal
    secret: str = field(repr=False)
    account_number: str = ""
    type: str = "NORMAL"
    country: str = "KR"
    customer_name: str = "홍길동"
    customer_key: str | None = None
    metadata: dict[str, str] | None = None
    is_partly_cancelable: bool = True
    cancels_later: bool = False
    refuse_with: str | None = None
    success_url: str = ""
    fail_url: str = ""
    status: Status = Status.READY
    requested_at: dt.datetime = field(default_factory=now)
    approved_at: dt.datetime | None = None
    due_at: dt.datetime | None = None
    last_transaction_key: str | None = None
    has_method: bool = False
    refund_status: str | None = None
    failure_code: str | None = None
    cancels: list[Cancel] = field(default_factory=list)

    @property
    def is_virtual_account(self) -> bool:
        """Whether it is paid by a deposit."""
        return self.method is Method.VIRTUAL_ACCOUNT

    @property
    def balance(self) -> Decimal:
        """What can still be cancelled."""
        return self.total - sum((cancel.amount for cancel in self.cancels if cancel.status == "DONE"), Decimal(0))

    @property
    def is_expired_account(self) -> bool:
        """Whether the deposit is overdue. The status stays WAITING_FOR_DEPOSIT."""
        return self.status is Status.WAITING_FOR_DEPOSIT and self.due_at is not None and self.due_at <= now()

    def authenticate(self) -> None:
        """The buyer completed the payment window; ten minutes to confirm start."""
        self._require(Status.READY)
        self.status, self.has_method = Status.IN_PROGRESS, True

    def approve(self, transaction_key: str) -> None:
        """Approved; a virtual account is issued instead and waits for its deposit."""
        self._require(*(_UNFINISHED if self.is_virtual_account else (Status.IN_PROGRESS,)))
        self.last_transaction_key, self.has_method = transaction_key, True
        if self.is_virtual_account:
            self.status, self.due_at = Status.WAITING_FOR_DEPOSIT, now() + DEPOSIT_WINDOW
        else:
            self.status, self.approved_at = Status.DONE, now()

    def abort(self, code: str) -> None:
        """The approval failed."""
        self._require(*_UNFINISHED)
        self.status, self.failure_code = Status.ABORTED, code

    def expire(self) -> None:
        """The 30 minutes to authenticate or the 10 minutes to confirm ran out."""
        self._require(*_UNFINISHED)
        self.status = Status.EXPIRED

    def deposit(self, transaction_key: str) -> None:
        """The money arrived on the virtual account."""
        self._require(Status.WAITING_FOR_DEPOSIT)
        if self.is_expired_account:
            raise NotPossible("the deposit is overdue: the bank does not accept it")
        self.status, self.approved_at, self.last_transaction_key = Status.DONE, now(), transaction_key

    def deposit_error(self) -> None:
        """The deposit is reversed (limit, network): the account waits again, with the same transaction key."""
        self._require(Status.DONE)
        if not self.is_virtual_account or self.cancels:
            raise NotPossible("only the deposit of a virtual account without cancels can be reversed")
        self.status, self.approved_at = Status.WAITING_FOR_DEPOSIT, None

    def pass_due_date(self) -> None:
        """The deposit becomes overdue: only `virtualAccount.expired` changes, and no webhook follows."""
        self._require(Status.WAITING_FOR_DEPOSIT)
        self.due_at = now() - dt.timedelta(seconds=1)

    def cancel(self, transaction_key: str, reason: str, amount: Decimal | None, request_id: str | None) -> Cancel:
        """Cancels the whole balance (amount None) or a part. Raises TossError where Toss would refuse.

        Only a single cancel of the full amount ends in CANCELED; in steps down to 0 it stays PARTIAL_CANCELED.
        """
        part = self._cancelable(amount)
        cancel = Cancel(transaction_key, reason, part, self.balance - part, now(), request_id)
        if self.cancels_later:
            cancel.status, cancel.refundable = "IN_PROGRESS", self.balance
        self.cancels.append(cancel)
        if cancel.status == "DONE":
            self._finish(cancel)
        return cancel

    def finish_cancel(self, cancel: Cancel, status: str) -> None:
        """The result of an asynchronous cancel: DONE or ABORTED."""
        if cancel.status != "IN_PROGRESS":
            raise NotPossible(f"the cancel is {cancel.status}")
        cancel.status, cancel.canceled_at = status, now()
        cancel.refundable = self.balance
        if status == "DONE":
            self._finish(cancel)

    def finish_refund(self, status: str) -> None:
        """Sets the outcome of a refund to the buyer's account, before or after the cancel. Default: paid out."""
        if not self.is_virtual_account or self.approved_at is None:
            raise NotPossible("only a deposit can be refunded to an account")
        self.refund_status = status

    def _finish(self, cancel: Cancel) -> None:
        self.last_transaction_key = cancel.transaction_key
        self.status = Status.CANCELED if cancel.amount == self.total else Status.PARTIAL_CANCELED

    def _cancelable(self, amount: Decimal | None) -> Decimal:
        if self.status is Status.CANCELED:
            raise TossError("ALREADY_CANCELED_PAYMENT")
        if self.status not in (*APPROVED, Status.WAITING_FOR_DEPOSIT):
            raise TossError("NOT_CANCELABLE_PAYMENT")
        if any(cancel.status == "IN_PROGRESS" for cancel in self.cancels):
            raise TossError("FORBIDDEN_CONSECUTIVE_REQUEST")
        part = self.balance if amount is None else amount
        if not 0 < part <= self.balance:
            raise TossError("NOT_CANCELABLE_AMOUNT")
        if self.status is Status.WAITING_FOR_DEPOSIT and part != self.total:
            raise TossError("NOT_ALLOWED_PARTIAL_REFUND_WAITING_DEPOSIT")
        if part != self.total and not self.is_partly_cancelable:
            raise TossError("NOT_ALLOWED_PARTIAL_REFUND")
        return part

    def _require(self, *statuses: Status) -> None:
        if self.status not in statuses:
            raise NotPossible(f"the payment is {self.status}; this needs {' or '.join(statuses)}")

    def describe_failure(self) -> dict[str, Any] | None:
        """The `failure` of the Payment object."""
        if self.failure_code is None:
            return None
        return {"code": self.failure_code, "message": TossError(self.failure_code).message()}
