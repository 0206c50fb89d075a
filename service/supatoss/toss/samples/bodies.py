"""Sample bodies: the ten events of Toss, then the five that only the merchant's guide names.

Source of Toss's shapes: docs.tosspayments.com, webhook event reference. The guide's examples have no createdAt.
"""

import datetime as dt
from typing import Any

from supatoss.toss import events
from supatoss.toss.samples.subject import SampleBody, SampleSubject

API_VERSION = "2022-11-16"
AMOUNT_WON = 9900
FEE_WON = 297


def payment(subject: SampleSubject, **changes: Any) -> SampleBody:
    """A Payment object: a card payment that is DONE, with changes."""
    url = f"https://dashboard.tosspayments.com/receipt/redirection?transactionId={subject.payment_key}&ref=PX"
    made = {
        "mId": "tmadeshop01",
        "version": API_VERSION,
        "lastTransactionKey": f"txrd_{subject.mark}",
        "paymentKey": subject.payment_key,
        "orderId": subject.order_id,
        "orderName": "토스 티셔츠 외 2건",
        "status": "DONE",
        "requestedAt": subject.with_offset,
        "approvedAt": subject.with_offset,
        "useEscrow": False,
        "cultureExpense": False,
        "card": {"issuerCode": "61", "acquirerCode": "31", "number": "12345600****789*", "amount": AMOUNT_WON},
        "virtualAccount": None,
        "cashReceipt": None,
        "cancels": None,
        "secret": subject.secret,
        "type": "NORMAL",
        "country": "KR",
        "failure": None,
        "isPartialCancelable": True,
        "receipt": {"url": url},
        "currency": "KRW",
        "totalAmount": AMOUNT_WON,
        "balanceAmount": AMOUNT_WON,
        "suppliedAmount": 9000,
        "vat": 900,
        "taxFreeAmount": 0,
        "method": "카드",
        "metadata": None,
    }
    return {**made, **changes}


def payment_status_changed(subject: SampleSubject) -> SampleBody:
    """A card payment is DONE."""
    return _enveloped(events.PaymentStatusChanged.TYPE, subject, payment(subject))


def deposit_callback(subject: SampleSubject) -> SampleBody:
    """An account waits for its deposit. Flat, exactly five keys."""
    return {
        "createdAt": subject.without_offset,
        "secret": subject.secret,
        "status": "WAITING_FOR_DEPOSIT",
        "transactionKey": f"{subject.mark.upper():0>32}",
        "orderId": subject.order_id,
    }


def cancel_status_changed(subject: SampleSubject) -> SampleBody:
    """An asynchronous cancel is DONE."""
    cancel = {
        "transactionKey": f"txrd_{subject.mark}c",
        "cancelReason": "구매자 변심",
        "cancelAmount": AMOUNT_WON,
        "taxFreeAmount": 0,
        "refundableAmount": 0,
        "canceledAt": subject.with_offset,
        "receiptKey": None,
        "cancelStatus": "DONE",
        "cancelRequestId": f"cancel-{subject.mark}",
        "paymentKey": subject.payment_key,
        "orderId": subject.order_id,
    }
    return _enveloped(events.CancelStatusChanged.TYPE, subject, cancel)


def billing_deleted(subject: SampleSubject) -> SampleBody:
    """A billing key was deleted."""
    return _enveloped(events.BillingDeleted.TYPE, subject, {"billingKey": subject.billing_key, "reason": "가맹점 요청"})


def method_updated(subject: SampleSubject) -> SampleBody:
    """A BrandPay customer registered a card."""
    data = {"customerKey": subject.customer_key, "methodKey": f"mth_{subject.mark}", "status": "ENABLED"}
    return _enveloped(events.MethodUpdated.TYPE, subject, data)


def customer_status_changed(subject: SampleSubject) -> SampleBody:
    """A BrandPay customer joined."""
    data = {"customerKey": subject.customer_key, "status": "CREATED", "changedAt": subject.with_offset}
    return _enveloped(events.CustomerStatusChanged.TYPE, subject, data)


def payout_changed(subject: SampleSubject) -> SampleBody:
    """A payout reached its seller. The value is a decimal, as Toss prints it."""
    payout = {
        "id": f"FPA_{subject.mark}",
        "refPayoutId": f"payout-{subject.mark}",
        "destination": f"seller-{subject.mark}",
        "scheduleType": "SCHEDULED",
        "payoutDate": f"{subject.now:%Y-%m-%d}",
        "amount": {"currency": "KRW", "value": 125000.0},
        "transactionDescription": "정산",
        "requestedAt": subject.with_offset,
        "status": "COMPLETED",
        "error": None,
        "metadata": None,
    }
    return _entity(events.PayoutChanged.TYPE, subject, payout)


def seller_changed(subject: SampleSubject) -> SampleBody:
    """A seller was approved."""
    seller = {
        "id": f"seller-{subject.mark}",
        "refSellerId": f"shop-{subject.mark}",
        "businessType": "INDIVIDUAL",
        "company": None,
        "individual": {"name": "홍길동", "email": "owner@example.com", "phone": "01000000000"},
        "account": {"bankCode": "092", "accountNumber": "100*****00001", "holderName": "홍길동"},
        "status": "APPROVED",
        "metadata": None,
    }
    return _entity(events.SellerChanged.TYPE, subject, seller)


def order_payment_status_changed(subject: SampleSubject) -> SampleBody:
    """A payment link's order was paid."""
    data = {
        "orderKey": f"lnk_{subject.mark}",
        "amount": AMOUNT_WON,
        "currency": "KRW",
        "customerName": "홍길동",
        "customerPhoneNumber": "01000000000",
        "payment": payment(subject),
        "orderItems": [],
    }
    return _enveloped(events.OrderPaymentStatusChanged.TYPE, subject, data)


def ars_reservation_changed(subject: SampleSubject) -> SampleBody:
    """A reservation for paying by phone was used."""
    reservation = {
        "arsReservationKey": f"ars_{subject.mark}",
        "reserveNumber": "000001",
        "requestedAt": subject.with_offset,
        "reservedAt": subject.with_offset,
        "status": "DONE",
        "canceledAt": None,
        "cancelReason": None,
        "completedAt": subject.with_offset,
        "mId": "tmadeshop01",
    }
    return _entity(events.ArsReservationChanged.TYPE, subject, reservation)


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


def _enveloped(event_type: str, subject: SampleSubject, data: SampleBody) -> SampleBody:
    return {"createdAt": subject.without_offset, "eventType": event_type, "data": data}


def _entity(event_type: str, subject: SampleSubject, entity_body: SampleBody) -> SampleBody:
    return {
        "eventType": event_type,
        "createdAt": subject.with_offset,
        "version": API_VERSION,
        "eventId": f"evt_made{subject.mark}",
        "entityType": event_type.partition(".")[0],
        "entityBody": entity_body,
    }


def _guide(event_type: str, data: SampleBody) -> SampleBody:
    return {"eventType": event_type, "data": data}
