"""Payouts and sellers: the entities of the two signed webhooks."""

from typing import Any

from scripts.emulator.moments import now, with_offset
from scripts.emulator.names import Names
from scripts.emulator.requests import ChangedSeller, NewPayout


def payout_json(body: NewPayout, names: Names) -> dict[str, Any]:
    """The payout. Its amount is printed with a fraction even in won, as the documentation's is."""
    payout_id = body.id or names.payout_id()
    failed = {"code": "EMULATED_BANK_ERROR", "message": "계좌 오류"} if body.status == "FAILED" else None
    return {
        "id": payout_id,
        "refPayoutId": body.ref_payout_id or f"ref-{payout_id}",
        "destination": body.destination,
        "scheduleType": body.schedule_type,
        "payoutDate": (body.payout_date or now().date()).isoformat(),
        "amount": {"currency": body.currency, "value": float(body.amount)},
        "transactionDescription": body.transaction_description,
        "requestedAt": with_offset(now()),
        "status": body.status,
        "error": body.error or failed,
        "metadata": body.metadata,
    }


def seller_json(body: ChangedSeller) -> dict[str, Any]:
    """The seller."""
    person = {"name": "홍길동", "email": "owner@example.com", "phone": "01000000000"}
    company = {
        "name": "가상상점",
        "representativeName": "홍길동",
        "businessRegistrationNumber": "0000000000",
        "email": "owner@example.com",
        "phone": "01000000000",
    }
    is_person = body.business_type == "INDIVIDUAL"
    return {
        "id": body.id,
        "refSellerId": body.ref_seller_id or f"ref-{body.id}",
        "businessType": body.business_type,
        "company": None if is_person else company,
        "individual": person if is_person else None,
        "account": {"bankCode": "092", "accountNumber": "100*****00001", "holderName": "홍길동"},
        "status": body.status,
        "metadata": None,
    }
