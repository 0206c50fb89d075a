"""Toss's objects: first those of events, then those that only its API returns. Unknown fields are ignored.

Source: docs.tosspayments.com, webhook event reference and core API reference.
"""

import datetime as dt
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Annotated, Any, Self

from pydantic import AliasChoices, BeforeValidator, Field, model_validator

from supatoss.toss.fields import (
    Amount,
    AmountIfReadable,
    BillingKey,
    Currency,
    CustomerKey,
    Date,
    Object,
    Objects,
    OptionalOrderId,
    OptionalPaymentKey,
    OrderId,
    SignedAmount,
    Text,
    Time,
    TossId,
    TossModel,
    Url,
    Word,
    object_or_none,
)


class Failure(TossModel):
    """Why a payment or a payout failed."""

    code: Text = None
    message: Text = None


FailureOrNone = Annotated[Failure | None, BeforeValidator(object_or_none)]


class Payment(TossModel):
    """Toss's Payment object. In 2022 it had only payment_key, status and order_id."""

    payment_key: OptionalPaymentKey = None
    order_id: OptionalOrderId = None
    status: Text = None
    order_name: Text = None
    m_id: Text = Field(default=None, alias="mId")
    method: Text = None
    currency: Currency = None
    total_amount: Amount = None
    balance_amount: Amount = None
    requested_at: Time = None
    approved_at: Time = None
    canceled_at: Time = None
    cancels: Objects = Field(default_factory=list)
    failure: FailureOrNone = None
    failure_code: Text = None
    failure_message: Text = None
    receipt: Url = None
    virtual_account: Object = None
    secret: Text = None
    metadata: Object = None

    @model_validator(mode="after")
    def _names_a_payment(self) -> Self:
        if self.payment_key is None and self.order_id is None:
            raise ValueError("paymentKey or orderId is needed")
        return self

    @property
    def is_said_unapproved(self) -> bool:
        """Whether its approval is said to have no time, and not just left out."""
        return "approved_at" in self.model_fields_set and self.approved_at is None


_ACCOUNT_FIELDS = ("accountNumber", "accountType", "bankCode", "bank", "customerName", "depositorName", "dueDate")


class IssuedAccount(Payment):
    """Data of VIRTUAL_ACCOUNT_ISSUED: a payment, with its account as an object or its fields beside the others."""

    @model_validator(mode="before")
    @classmethod
    def _gather_account(cls, data: Any) -> Any:
        if not isinstance(data, dict) or isinstance(data.get("virtualAccount"), dict):
            return data
        account = {name: data[name] for name in _ACCOUNT_FIELDS if data.get(name) is not None}
        return {**data, "virtualAccount": account} if account else data


class Cancel(TossModel):
    """Toss's Cancel object. Naming its payment is undocumented but possible."""

    transaction_key: TossId
    cancel_request_id: Text = None
    cancel_status: Text = None
    cancel_amount: Amount = None
    canceled_at: Time = None
    payment_key: OptionalPaymentKey = None
    order_id: OptionalOrderId = None


class OrderPayment(TossModel):
    """Data of a payment link's order."""

    order_key: Text = None
    payment: Payment


class Money(TossModel):
    """An amount in units of its currency."""

    value: Amount = None
    currency: Currency = None


class Payout(TossModel):
    """A payout (v2): money that goes to a seller."""

    id: TossId
    ref_payout_id: Text = None
    destination: Text = None
    schedule_type: Text = None
    payout_date: Date = None
    amount: Annotated[Money | None, BeforeValidator(object_or_none)] = None
    transaction_description: Text = None
    requested_at: Time = None
    status: Word
    error: FailureOrNone = None
    metadata: Object = None


class Deposit(TossModel):
    """Data of VIRTUAL_ACCOUNT_DEPOSIT."""

    payment_key: OptionalPaymentKey = None
    order_id: OrderId
    secret: Text = None
    deposited_at: Time = None


class IssuedBillingKey(TossModel):
    """Data of BILLING_KEY_ISSUED."""

    billing_key: BillingKey
    customer_key: CustomerKey
    issued_at: Time = None


class DeletedBillingKey(TossModel):
    """Data of BILLING_KEY_DELETED."""

    billing_key: BillingKey
    customer_key: Text = None
    deleted_at: Time = None


class Settlement(TossModel):
    """Data of SETTLEMENT_COMPLETED. The guide leaves its fields open; these are the names of Toss's Settlement object.

    A cancel has negative amounts.
    """

    settlement_key: Text = None
    settlement_id: Text = None
    transaction_key: Text = None
    payment_key: OptionalPaymentKey = None
    order_id: OptionalOrderId = None
    seller_id: Text = None
    status: Text = None
    currency: Currency = None
    amount: SignedAmount = None
    pay_out_amount: SignedAmount = None
    fee: SignedAmount = None
    sold_date: Date = None
    paid_out_date: Date = None
    settled_at: Time = None
    completed_at: Time = None


@dataclass(frozen=True, slots=True)
class PaymentAnswer:
    """A payment as Toss's API returns it.

    asked_at: UTC, taken before the request was sent, so the answer was true at that time or later. fields: the JSON
    object as returned, fractions as Decimal. Neither form of the payment is in the repr.
    """

    asked_at: dt.datetime
    fields: Mapping[str, Any] = field(repr=False)
    payment: Payment = field(repr=False)


class Transaction(TossModel):
    """One approval or cancel, as far as it can be read: one odd row must not stop the reading of a day.

    Same-day rows are included; Toss doesn't document the sign of a cancel's amount.
    """

    transaction_key: Text = None
    payment_key: Text = None
    order_id: Text = None
    m_id: Text = Field(default=None, alias="mId")
    status: Text = None
    method: Text = None
    currency: Currency = None
    amount: AmountIfReadable = None
    transaction_at: Time = None
    customer_key: Text = Field(default=None, repr=False)
    receipt_url: Text = None


class Fee(TossModel):
    """One of a settlement's fees: BASE, INSTALLMENT_DISCOUNT, INSTALLMENT, POINT_SAVING or ETC."""

    type: Text = None
    fee: SignedAmount = None


def _empty_if_null(value: object) -> object:
    return [] if value is None else value


class SettlementRow(TossModel):
    """The payout of one approval or cancel, listed from the day after the payment, with live keys only."""

    transaction_key: Text = None
    payment_key: OptionalPaymentKey = None
    order_id: OptionalOrderId = None
    m_id: Text = Field(default=None, alias="mId")
    currency: Currency = None
    method: Text = None
    amount: SignedAmount = None
    interest_fee: SignedAmount = None
    fee: SignedAmount = None
    """In place of `fees` in some rows (techchat.tosspayments.com)."""
    fees: Annotated[tuple[Fee, ...], BeforeValidator(_empty_if_null)] = ()
    supply_amount: SignedAmount = Field(
        # The reference has one name; the payment object and community copies have the other.
        default=None,
        validation_alias=AliasChoices("supplyAmount", "suppliedAmount"),
    )
    vat: SignedAmount = None
    pay_out_amount: SignedAmount = None
    approved_at: Time = None
    sold_date: Date = None
    paid_out_date: Date = None
    cancel: Object = None
