"""Bodies of the control API. An unknown field is an error, so typos do not go unnoticed."""

import datetime as dt
import re
from decimal import Decimal
from typing import Annotated, Any, Literal, Self

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, model_validator
from pydantic.alias_generators import to_camel

from scripts.emulator.options import check_url
from scripts.emulator.payment import Method, Status

_CODE = re.compile(r"[A-Z][A-Z0-9_]{2,99}")


def _method(value: object) -> object:
    """A payment method by its Korean name or its name in the browser SDK."""
    return Method.__members__.get(value, value) if isinstance(value, str) else value


def _code(value: str) -> str:
    if not _CODE.fullmatch(value):
        raise ValueError("should be an error code of Toss, like REJECT_CARD_COMPANY")
    return value


Amount = Annotated[Decimal, Field(gt=0, lt=10**15, decimal_places=2)]
Code = Annotated[str, AfterValidator(_code)]
OrderId = Annotated[str, Field(pattern=r"^[A-Za-z0-9_.=-]{6,64}$")]


class Body(BaseModel):
    """Camel case as at Toss; snake case works, too."""

    model_config = ConfigDict(
        alias_generator=to_camel, extra="forbid", validate_by_name=True, validate_by_alias=True, frozen=True
    )


class NoBody(Body):
    """An empty body."""


class NewWebhook(Body):
    """A URL to register; `event_types` like the developer centre's boxes, empty for all."""

    url: Annotated[str, AfterValidator(check_url)]
    event_types: frozenset[str] = frozenset()


class NewPayment(Body):
    """What the payment window creates."""

    order_id: OrderId
    amount: Amount
    method: Annotated[Method, BeforeValidator(_method)] = Method.CARD
    currency: Literal["KRW", "USD", "JPY"] = "KRW"
    order_name: Annotated[str, Field(min_length=1, max_length=100)] = "가상 상품 외 1건"
    status: Literal["READY", "IN_PROGRESS"] = "IN_PROGRESS"
    customer_name: str = "홍길동"
    customer_key: str | None = None
    country: Annotated[str, Field(pattern=r"^[A-Z]{2}$")] = "KR"
    metadata: Annotated[dict[str, str], Field(max_length=5)] | None = None
    is_partial_cancelable: bool | None = None
    cancels_later: bool = False
    refuse_with: Code | None = None

    @model_validator(mode="after")
    def _has_no_part_of_a_won(self) -> Self:
        if self.currency != "USD" and self.amount % 1:
            raise ValueError(f"{self.currency} has no cents")
        return self


class WindowAmount(Body):
    """The SDK's amount."""

    currency: Literal["KRW", "USD", "JPY"]
    value: Amount


class OpenWindow(Body):
    """What the SDK's `requestPayment` sends. Its many other options change nothing here."""

    model_config = ConfigDict(extra="ignore")

    client_key: Annotated[str, Field(pattern=r"^(test|live)_ck_\w+$")]
    customer_key: Annotated[str, Field(min_length=2, max_length=50)]
    method: Annotated[Method, BeforeValidator(_method)]
    amount: WindowAmount
    order_id: OrderId
    order_name: Annotated[str, Field(min_length=1, max_length=100)]
    success_url: Annotated[str, AfterValidator(check_url)]
    fail_url: Annotated[str, AfterValidator(check_url)]
    customer_name: Annotated[str, Field(max_length=100)] | None = None
    metadata: Annotated[dict[str, str], Field(max_length=5)] | None = None


class ApprovePayment(Body):
    """The shop's confirmation; `force` skips its checks, so that one order can be paid twice."""

    force: bool = False


class CancelPayment(Body):
    """A cancel; without an amount, of the whole balance."""

    amount: Amount | None = None
    reason: Annotated[str, Field(min_length=1, max_length=200)] = "구매자 변심"
    cancel_request_id: Annotated[str, Field(min_length=6, max_length=64)] | None = None


class CancelResult(Body):
    """How an asynchronous cancel ends."""

    status: Literal["DONE", "ABORTED"] = "DONE"


class RefundResult(Body):
    """The outcome of a refund to the buyer's account."""

    status: Literal["PENDING", "FAILED", "PARTIAL_FAILED", "COMPLETED"]


class AbortPayment(Body):
    """Why the approval failed."""

    code: Code = "REJECT_CARD_COMPANY"


class NewBillingKey(Body):
    """A customer's card; `refuse_with` is the error of every charge."""

    customer_key: Annotated[str, Field(min_length=2, max_length=300)]
    refuse_with: Code | None = None


class DeleteBillingKey(Body):
    """Why a billing key is deleted."""

    reason: str | None = None


class NewPayout(Body):
    """A payout to a seller. Only COMPLETED and FAILED send a webhook."""

    amount: Amount
    destination: str
    status: Literal["REQUESTED", "IN_PROGRESS", "COMPLETED", "FAILED", "CANCELED"] = "COMPLETED"
    id: str | None = None
    ref_payout_id: str | None = None
    currency: str = "KRW"
    schedule_type: Literal["EXPRESS", "SCHEDULED"] = "EXPRESS"
    payout_date: dt.date | None = None
    transaction_description: str = "정산"
    error: dict[str, str] | None = None
    metadata: dict[str, Any] | None = None


class ChangedSeller(Body):
    """A seller whose approval changed."""

    id: str
    status: Literal["PARTIALLY_APPROVED", "KYC_REQUIRED", "APPROVED"] = "APPROVED"
    ref_seller_id: str | None = None
    business_type: Literal["INDIVIDUAL", "INDIVIDUAL_BUSINESS", "CORPORATE"] = "INDIVIDUAL_BUSINESS"


class RawEvent(Body):
    """Any body as a webhook: other types, unknown ones, forgeries, or `text` that is not JSON."""

    body: dict[str, Any] | None = None
    text: str | None = None
    signed: bool = False

    @model_validator(mode="after")
    def _has_one(self) -> Self:
        if (self.body is None) == (self.text is None):
            raise ValueError("either body or text is needed")
        return self


class NewSettlement(Body):
    """The days of a settlement; by default the day of the approval and two days later."""

    sold_date: dt.date | None = None
    paid_out_date: dt.date | None = None


class NewFault(Body):
    """A fault: what the next API calls get before or instead of their answer."""

    path_prefix: Annotated[str, Field(pattern=r"^/v1")] = "/v1"
    count: Annotated[int, Field(ge=1)] = 1
    status: Annotated[int, Field(ge=200, le=599)] | None = None
    code: Code | None = None
    retry_after_seconds: Annotated[float, Field(ge=0)] | None = None
    delay_seconds: Annotated[float, Field(ge=0, le=600)] = 0
    garbage: bool = False
    drop: bool = False
    after: bool = False


class KnownCancel(Body):
    """A Cancel object of Toss."""

    model_config = ConfigDict(extra="ignore")

    transaction_key: str
    cancel_amount: Decimal
    canceled_at: dt.datetime
    cancel_reason: str = "구매자 변심"
    refundable_amount: Decimal = Decimal(0)
    cancel_request_id: str | None = None
    cancel_status: str = "DONE"


class KnownAccount(Body):
    """The virtual account of a payment."""

    model_config = ConfigDict(extra="ignore")

    account_number: str = "X0000000000000"
    customer_name: str = "홍길동"
    due_date: dt.datetime | None = None


class KnownPayment(Body):
    """A Payment object of Toss; fields that change nothing here are accepted."""

    model_config = ConfigDict(extra="ignore")

    payment_key: Annotated[str, Field(min_length=1, max_length=200)]
    order_id: Annotated[str, Field(min_length=1, max_length=100)]
    status: Status
    total_amount: Annotated[Decimal, Field(ge=0, lt=10**15)]
    currency: str = "KRW"
    order_name: str = "가상 상품 외 1건"
    m_id: str | None = None
    method: Method | None = None
    type: str = "NORMAL"
    secret: str | None = None
    customer_key: str | None = None
    last_transaction_key: str | None = None
    requested_at: dt.datetime | None = None
    approved_at: dt.datetime | None = None
    virtual_account: KnownAccount | None = None
    cancels: list[KnownCancel] | None = None
    failure: dict[str, str | None] | None = None
    metadata: dict[str, str] | None = None


class KnownSettlement(Body):
    """A payment that is paid out to the shop, and the fee of its approval."""

    payment_key: str
    sold_date: dt.date
    paid_out_date: dt.date
    fee: Decimal
    transaction_key: str | None = None


class KnownBillingKey(Body):
    """A card on file."""

    billing_key: str
    customer_key: str
    is_removed: bool = False


class KnownAtToss(Body):
    """What Toss knows from now on."""

    payments: list[KnownPayment] = []
    settlements: list[KnownSettlement] = []
    billing_keys: list[KnownBillingKey] = []


class PlayStory(Body):
    """The order of a story, by default the newest one that fits, and the amount of a payment or of a cancel."""

    order_id: OrderId | None = None
    amount: Amount | None = None


class Suppress(Body):
    """How many of the next webhooks (one for each event and URL) are dropped."""

    count: Annotated[int, Field(ge=0)] = 1


class Revoke(Body):
    """A secret key that Toss accepts no longer."""

    secret_key: str
