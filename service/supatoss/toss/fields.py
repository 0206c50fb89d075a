"""Types of the fields in Toss's objects: statuses, times, amounts, names (API version 2022-11-16 and later)."""

import datetime as dt
import re
from decimal import Decimal
from enum import StrEnum
from typing import Annotated, Any

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, GetPydanticSchema, PlainValidator, StringConstraints
from pydantic.alias_generators import to_camel
from pydantic_core import CoreSchema, core_schema


class PaymentStatus(StrEnum):
    """Status of a payment. FAILED is the word of the merchant's guide for ABORTED; both are accepted."""

    READY = "READY"
    IN_PROGRESS = "IN_PROGRESS"
    WAITING_FOR_DEPOSIT = "WAITING_FOR_DEPOSIT"
    DONE = "DONE"
    CANCELED = "CANCELED"
    PARTIAL_CANCELED = "PARTIAL_CANCELED"
    ABORTED = "ABORTED"
    EXPIRED = "EXPIRED"
    FAILED = "FAILED"

    @property
    def is_canceled(self) -> bool:
        """Whether money was refunded, all or part of it."""
        return self in (PaymentStatus.CANCELED, PaymentStatus.PARTIAL_CANCELED)


class PayoutStatus(StrEnum):
    """Status of a payout; by webhook only COMPLETED and FAILED come."""

    REQUESTED = "REQUESTED"
    IN_PROGRESS = "IN_PROGRESS"
    COMPLETED = "COMPLETED"
    FAILED = "FAILED"
    CANCELED = "CANCELED"


SEOUL = dt.timezone(dt.timedelta(hours=9), "Asia/Seoul")
"""Korea has had no daylight saving time since 1988, so a fixed offset is exact for every payment."""


def parse_time(text: object) -> dt.datetime | None:
    """A time of Toss in UTC, or None if it can't be read.

    A time without an offset is Korean: `createdAt` of payment events has none, and differs from the approvedAt of the
    same body, which has one, by less than a second (community payloads). A second's fraction has zero to nine digits;
    PostgreSQL and Python keep six.
    """
    if not isinstance(text, str) or "T" not in text:
        return None
    try:
        moment = dt.datetime.fromisoformat(text.strip())
        if moment.tzinfo is None:
            moment = moment.replace(tzinfo=SEOUL)
        return moment.astimezone(dt.UTC)
    except (ValueError, OverflowError):
        return None


def parse_date(text: object) -> dt.date | None:
    """A calendar day in Korea (`soldDate`, `paidOutDate`), or None if it can't be read."""
    if not isinstance(text, str):
        return None
    try:
        return dt.date.fromisoformat(text.strip()[:10])
    except ValueError:
        return None


_NUMBER = re.compile(r"-?[0-9]{1,20}(\.[0-9]{1,6})?")
MAX_DECIMALS = 6
"""More than any currency has; amounts are never rounded, and never a million digits long."""

_MAX_AMOUNT = Decimal(10) ** 15
"""Above every real amount in won; also keeps a hostile exponent from becoming a million digits."""


def _or_none(schema: CoreSchema) -> GetPydanticSchema:
    """A value that doesn't fit counts as absent; checked in compiled code."""
    return GetPydanticSchema(
        lambda _type, _handler: core_schema.with_default_schema(schema, default=None, on_error="default")
    )


def _text_or_none(value: object) -> str | None:
    return value if isinstance(value, str) and value else None


def object_or_none(value: object) -> dict[str, Any] | None:
    """A JSON object, or None for anything else."""
    return value if isinstance(value, dict) else None


def _objects(value: object) -> list[dict[str, Any]]:
    return [item for item in value if isinstance(item, dict)] if isinstance(value, list) else []


def _signed_amount(value: object) -> Decimal | None:
    if value is None:
        return None
    if isinstance(value, str) and _NUMBER.fullmatch(value):
        value = Decimal(value)
    if isinstance(value, bool) or not isinstance(value, int | Decimal):
        raise ValueError("should be a number")
    if not -_MAX_AMOUNT < value < _MAX_AMOUNT:
        raise ValueError("should be below 10^15")
    exact = Decimal(value)
    if int(exact.as_tuple().exponent) < -MAX_DECIMALS:
        raise ValueError(f"should have at most {MAX_DECIMALS} decimals")
    return exact


def _amount_or_none(value: object) -> Decimal | None:
    try:
        return _signed_amount(value)
    except ValueError:
        return None


def _amount(value: object) -> Decimal | None:
    amount = _signed_amount(value)
    if amount is not None and amount < 0:
        raise ValueError("should be at least 0")
    return amount


def _url_or_none(value: object) -> str | None:
    return _text_or_none(value.get("url")) if isinstance(value, dict) else _text_or_none(value)


def _no_empty_text(value: object) -> object:
    return None if value == "" else value


OptionalPaymentKey = Annotated[Annotated[str, Field(max_length=200)] | None, BeforeValidator(_no_empty_text)]
OptionalOrderId = Annotated[Annotated[str, Field(max_length=100)] | None, BeforeValidator(_no_empty_text)]
OrderId = Annotated[str, StringConstraints(strict=True, min_length=1, max_length=100)]
BillingKey = Annotated[str, StringConstraints(strict=True, min_length=1, max_length=200)]
CustomerKey = Annotated[str, StringConstraints(strict=True, min_length=1, max_length=300)]
TossId = Annotated[str, StringConstraints(strict=True, min_length=1, max_length=200)]
Word = Annotated[str, StringConstraints(strict=True, min_length=1, max_length=50)]
Currency = Annotated[str | None, _or_none(core_schema.str_schema(strict=True, pattern="^[A-Z]{1,10}$"))]
"""A code as Toss writes it. Not always three letters: MUSD was seen (techchat.tosspayments.com)."""

Text = Annotated[str | None, _or_none(core_schema.str_schema(strict=True, min_length=1))]
PresentText = Annotated[str | None, PlainValidator(_text_or_none)]
"""A field that has to be present; anything but text counts as None."""

Object = Annotated[dict[str, Any] | None, _or_none(core_schema.is_instance_schema(dict))]
Objects = Annotated[list[dict[str, Any]], PlainValidator(_objects)]
Amount = Annotated[Decimal | None, PlainValidator(_amount)]
SignedAmount = Annotated[Decimal | None, PlainValidator(_signed_amount)]
AmountIfReadable = Annotated[Decimal | None, PlainValidator(_amount_or_none)]
"""Where one odd amount must not stop the reading of all others."""

Time = Annotated[dt.datetime | None, PlainValidator(parse_time)]
Date = Annotated[dt.date | None, PlainValidator(parse_date)]
Url = Annotated[str | None, PlainValidator(_url_or_none)]


class TossModel(BaseModel):
    """Reads Toss's camelCase names, ignores unknown fields, and never shows its input in an error."""

    model_config = ConfigDict(
        alias_generator=to_camel,
        defer_build=True,  # when first used: a command uses few of them
        extra="ignore",
        frozen=True,
        hide_input_in_errors=True,
        populate_by_name=True,
    )
