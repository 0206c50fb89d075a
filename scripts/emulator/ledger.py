"""What GET /v1/transactions and GET /v1/settlements answer: one row for each approval and each cancel."""

import datetime as dt
from typing import Any

from scripts.emulator.errors import NotPossible
from scripts.emulator.moments import now
from scripts.emulator.payment import Cancel, Payment, Status
from scripts.emulator.shapes import Transaction, settlement_json

PAID_OUT_AFTER = dt.timedelta(days=2)


class Ledger:
    """The rows, in the order in which they came."""

    def __init__(self) -> None:
        self.transactions: list[Transaction] = []
        self.settlements: list[dict[str, Any]] = []

    def approved(self, payment: Payment) -> None:
        """Money came in."""
        key = payment.last_transaction_key or ""
        self.transactions.append(Transaction(key, payment, Status.DONE, payment.approved_at or now(), payment.total))

    def canceled(self, payment: Payment, cancel: Cancel) -> None:
        """Money goes back; the amount is that of the cancel, without a sign."""
        row = Transaction(cancel.transaction_key, payment, payment.status, cancel.canceled_at, cancel.amount)
        self.transactions.append(row)

    def taken_back(self, payment: Payment) -> None:
        """A deposit was an error: its row stays, and is no longer DONE."""
        for number, row in enumerate(self.transactions):
            if row.key == payment.last_transaction_key:
                self.transactions[number] = Transaction(row.key, payment, payment.status, row.at, row.amount)

    def settle(self, payment: Payment, sold_on: dt.date | None, paid_out_on: dt.date | None) -> list[dict[str, Any]]:
        """Settles what of a payment is not settled yet, and returns the new rows. No webhook follows."""
        if payment.approved_at is None:
            raise NotPossible("only an approved payment is settled")
        sold = sold_on or payment.approved_at.date()
        settled = {row["transactionKey"] for row in self.settlements}
        rows = [
            settlement_json(row, sold, paid_out_on or sold + PAID_OUT_AFTER)
            for row in self.transactions
            if row.payment is payment and row.key not in settled
        ]
        self.settlements += rows
        return rows

    def reset(self) -> None:
        """Forgets everything."""
        self.transactions.clear()
        self.settlements.clear()
