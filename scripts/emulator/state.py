"""Keeps the emulator's state in a file (`--state`), so that it still agrees with the database after a restart."""

import contextlib
import datetime as dt
import os
from decimal import Decimal
from pathlib import Path

from scripts.emulator.formats import from_json, to_json
from scripts.emulator.known import to_payment
from scripts.emulator.merchant import Merchant
from scripts.emulator.requests import KnownPayment
from scripts.emulator.shapes import Transaction, payment_json


def save(file: Path, merchant: Merchant) -> None:
    """Writes payments, transactions, settlements and billing keys, readable by the owner only."""
    content = {
        "payments": [{**payment_json(it), "secret": it.secret} for it in reversed(list(merchant.newest()))],
        "transactions": [
            {
                "key": row.key,
                "paymentKey": row.payment.payment_key,
                "status": row.status,
                "at": row.at.isoformat(),
                "amount": str(row.amount),
            }
            for row in merchant.ledger.transactions
        ],
        "settlements": merchant.ledger.settlements,
        "billingKeys": [
            {"billingKey": key.billing_key, "customerKey": key.customer_key, "isRemoved": key.is_removed}
            for key in merchant.billing_keys.all()
        ],
    }
    draft = file.with_name(f"{file.name}.{os.getpid()}")
    draft.touch(mode=0o600)
    draft.write_bytes(to_json(content))
    draft.replace(file)


def load(file: Path, merchant: Merchant) -> None:
    """Reads the file; a missing or damaged one is an empty state. Timers of open payments are not kept."""
    with contextlib.suppress(OSError, ValueError, KeyError, TypeError):
        content = from_json(file.read_bytes())
        rows: dict[str, list[dict[str, str]]] = {}
        for row in content["transactions"]:
            rows.setdefault(row["paymentKey"], []).append(row)
        for item in content["payments"]:
            payment = to_payment(KnownPayment.model_validate(item), merchant.m_id)
            merchant.adopt(
                payment,
                [
                    Transaction(
                        *(row["key"], payment, row["status"]),
                        dt.datetime.fromisoformat(row["at"]),
                        Decimal(row["amount"]),
                    )
                    for row in rows.get(payment.payment_key, ())
                ],
            )
        merchant.ledger.add_settlements(content["settlements"])
        for key in content["billingKeys"]:
            merchant.billing_keys.adopt(key["billingKey"], key["customerKey"], is_removed=key["isRemoved"])
