"""What Toss's API answers, typed. Fields that Toss adds later pass; amounts are exact and may be negative.

Source: docs.tosspayments.com, core API reference.
"""

import datetime as dt
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Annotated, Any

from pydantic import AliasChoices, BeforeValidator, Field

from supatoss.toss.fields import (
    Currency,
    Date,
    Object,
    OptionalOrderId,
    OptionalPaymentKey,
    SignedAmount,
    Text,
    Time,
    TossId,
    TossModel,
)
from supatoss.toss.payloads import Payment


@dataclass(frozen=True, slots=True)
class PaymentAnswer:
    """A payment as Toss knows it.

    asked_at: UTC, taken before the request was sent, so what the answer says was true at that time or later. fields:
    the JSON object as answered, numbers with a fraction as Decimal. Neither form of the payment is in the repr.
    """

    asked_at: dt.datetime
    fields: Mapping[str, Any] = field(repr=False)
    payment: Payment = field(repr=False)


class Transaction(TossModel):
    """One approval or cancel. Rows of the same day are there; the sign of a cancel's amount is not documented."""

    transaction_key: TossId
    payment_key: OptionalPaymentKey = None
    order_id: OptionalOrderId = None
    m_id: Text = Field(default=None, alias="mId")
    status: Text = None
    method: Text = None
    currency: Currency = None
    amount: SignedAmount = None
    transaction_at: Time = None
    customer_key: Text = Field(default=None, repr=False)
    receipt_url: Text = None


class Fee(TossModel):
    """A part of the fees of a settlement: BASE, INSTALLMENT_DISCOUNT, INSTALLMENT, POINT_SAVING or ETC."""

    type: Text = None
    fee: SignedAmount = None


def _empty_if_null(value: object) -> object:
    return [] if value is None else value


class SettlementRow(TossModel):
    """What Toss pays out for one approval or cancel. Rows come from the day after the payment, with live keys only."""

    transaction_key: Text = None
    payment_key: OptionalPaymentKey = None
    order_id: OptionalOrderId = None
    m_id: Text = Field(default=None, alias="mId")
    currency: Currency = None
    method: Text = None
    amount: SignedAmount = None
    interest_fee: SignedAmount = None
    fees: Annotated[tuple[Fee, ...], BeforeValidator(_empty_if_null)] = ()
    supply_amount: SignedAmount = Field(
        # The reference has one name, the payment object and community copies the other.
        default=None,
        validation_alias=AliasChoices("supplyAmount", "suppliedAmount"),
    )
    vat: SignedAmount = None
    pay_out_amount: SignedAmount = None
    approved_at: Time = None
    sold_date: Date = None
    paid_out_date: Date = None
    cancel: Object = None
