"""The order of the keys in Toss's objects, which jsonb does not keep. Pure.

Keeping the text beside the jsonb would take half as much space again, so the order is the one of Toss's documents
(docs.tosspayments.com, core API reference and webhook event reference). Keys that they don't name come last.
"""

from typing import Any

_OBJECTS = """\
createdAt eventType data

eventType createdAt version eventId entityType entityBody

createdAt secret status transactionKey orderId

mId version lastTransactionKey paymentKey orderId orderName taxExemptionAmount status requestedAt approvedAt
useEscrow cultureExpense card virtualAccount transfer mobilePhone giftCertificate cashReceipt cashReceipts discount
cancels secret type easyPay country failure isPartialCancelable receipt checkout currency totalAmount balanceAmount
suppliedAmount vat taxFreeAmount method metadata

issuerCode acquirerCode number installmentPlanMonths isInterestFree interestPayer approveNo useCardPoint cardType
ownerType acquireStatus amount

accountNumber accountType bankCode customerName depositorName dueDate expired settlementStatus refundStatus
refundReceiveAccount

bankCode accountNumber holderName

bankCode settlementStatus

transactionKey cancelReason cancelAmount taxFreeAmount taxExemptionAmount refundableAmount cardDiscountAmount
transferDiscountAmount easyPayDiscountAmount canceledAt receiptKey cancelStatus cancelRequestId paymentKey orderId

type receiptKey issueNumber receiptUrl amount taxFreeAmount

provider amount discountAmount

customerMobilePhone settlementStatus receiptUrl

approveNo settlementStatus

code message

paymentKey orderId secret depositedAt

billingKey customerKey issuedAt deletedAt reason

customerKey methodKey status changedAt

id refPayoutId destination scheduleType payoutDate amount transactionDescription requestedAt status error metadata

currency value

id refSellerId businessType company individual account status metadata

name email phone

orderKey amount currency customerName customerPhoneNumber payment orderItems

arsReservationKey reserveNumber requestedAt reservedAt status canceledAt cancelReason completedAt mId

paymentKey orderId transactionKey currency amount fee payOutAmount soldDate paidOutDate
"""
_RANKS = tuple({name: rank for rank, name in enumerate(names.split())} for names in _OBJECTS.split("\n\n"))


def in_toss_order(value: Any) -> Any:
    """The same JSON value, the keys of its objects in the order of Toss's documents."""
    match value:
        case dict():
            ranks = max(_RANKS, key=lambda known: _likeness(known, value))
            last = len(ranks)
            return {name: in_toss_order(value[name]) for name in sorted(value, key=lambda name: ranks.get(name, last))}
        case list():
            return [in_toss_order(item) for item in value]
        case _:
            return value


def _likeness(known: dict[str, int], value: dict[str, Any]) -> tuple[int, int]:
    """How much an object is like a documented one: shared keys, then few that the object lacks."""
    shared = len(known.keys() & value.keys())
    return shared, shared - len(known)
