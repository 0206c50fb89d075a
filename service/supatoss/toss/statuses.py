"""Status words of Toss (payment object, API version 2022-11-16 and later)."""

from enum import StrEnum


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
        """Whether money was given back, all or a part."""
        return self in (PaymentStatus.CANCELED, PaymentStatus.PARTIAL_CANCELED)


class PayoutStatus(StrEnum):
    """Status of a payout; by webhook only COMPLETED and FAILED come."""

    REQUESTED = "REQUESTED"
    IN_PROGRESS = "IN_PROGRESS"
    COMPLETED = "COMPLETED"
    FAILED = "FAILED"
    CANCELED = "CANCELED"
