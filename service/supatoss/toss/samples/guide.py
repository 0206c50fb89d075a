"""Bodies of the five events that only the merchant's guide names. Its examples have no createdAt, nor have these."""

import datetime as dt

from supatoss.toss import events
from supatoss.toss.samples.subject import SampleBody, SampleSubject
from supatoss.toss.samples.toss import AMOUNT_WON, payment

FEE_WON = 297


def virtual_account_issued(subject: SampleSubject) -> SampleBody:
    """An account waits for its deposit."""
    account = {
        "accountNumber": "X0000000000001",
        "accountType": "일반",
        "bankCode": "20",
        "customerName": "홍길동",
        "dueDate": (subject.now + dt.timedelta(days=7)).isoformat(timespec="seconds"),
        "expired": False,
    }
    waiting = {"status": "WAITING_FOR_DEPOSIT", "approvedAt": None, "card": None, "method": "가상계좌"}
    return _guide(events.VirtualAccountIssued.TYPE, payment(subject, **waiting, virtualAccount=account))


def virtual_account_deposit(subject: SampleSubject) -> SampleBody:
    """Money arrived on an account."""
    data = {
        "paymentKey": subject.payment_key,
        "orderId": subject.order_id,
        "secret": subject.secret,
        "depositedAt": subject.with_offset,
    }
    return _guide(events.VirtualAccountDeposit.TYPE, data)


def billing_key_issued(subject: SampleSubject) -> SampleBody:
    """A customer has a billing key."""
    data = {
        "billingKey": subject.billing_key,
        "customerKey": subject.customer_key,
        "issuedAt": subject.with_offset,
    }
    return _guide(events.BillingKeyIssued.TYPE, data)


def billing_key_deleted(subject: SampleSubject) -> SampleBody:
    """A billing key was deleted."""
    data = {
        "billingKey": subject.billing_key,
        "customerKey": subject.customer_key,
        "deletedAt": subject.with_offset,
    }
    return _guide(events.BillingKeyDeleted.TYPE, data)


def settlement_completed(subject: SampleSubject) -> SampleBody:
    """A payment's money was paid out."""
    data = {
        "paymentKey": subject.payment_key,
        "orderId": subject.order_id,
        "transactionKey": f"txrd_{subject.mark}",
        "currency": "KRW",
        "amount": AMOUNT_WON,
        "fee": FEE_WON,
        "payOutAmount": AMOUNT_WON - FEE_WON,
        "soldDate": f"{subject.now:%Y-%m-%d}",
        "paidOutDate": f"{subject.now + dt.timedelta(days=3):%Y-%m-%d}",
    }
    return _guide(events.SettlementCompleted.TYPE, data)


def _guide(event_type: str, data: SampleBody) -> SampleBody:
    """The guide's bodies have no createdAt."""
    return {"eventType": event_type, "data": data}
