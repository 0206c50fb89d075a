"""From a story alone: what each order's row must hold once every webhook was delivered and nothing waits any more.

Where the design leaves a choice, the weaker statement is asserted, and a comment says so.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from tests.model.shop import Order
from tests.model.truth import NEVER_PAID, Attempt

Row = dict[str, Any]

FINAL = ("processed", "ignored", "failed")
MISMATCH = "amount_mismatch"
DOUBLE = "double_charge"


@dataclass(frozen=True, slots=True)
class Expected:
    """What may stand in an order's row and events.

    wrote_last: no webhook came after the application's last write. is_nameless: the order's webhooks are signed
    DEPOSIT_CALLBACKs, which name no payment.
    """

    order: Order
    attempts: Sequence[Attempt]
    wrote_last: bool
    is_nameless: bool = False

    def fits(self, attempt: Attempt) -> bool:
        """Whether an attempt costs what the application stored. Where it stored nothing, every price is right."""
        price = (self.order.price, self.order.currency)
        return not self.order.is_inserted or (attempt.total, attempt.currency) == price

    @property
    def candidates(self) -> list[Attempt]:
        """The attempts that the row may show, of those that count.

        Weaker than it could be: which of two paid attempts; which of those that hold no money any more or not yet (paid
        and given back, waiting for a deposit, cancelled before it); which of those that were never paid.
        """
        counting = [attempt for attempt in self.attempts if self.fits(attempt) and attempt.is_reported]
        holding = [attempt for attempt in counting if attempt.holds_money]
        if holding:
            return holding
        if any(attempt.moved_money for attempt in counting):
            return [attempt for attempt in counting if attempt.status not in NEVER_PAID]
        # A look-up by order may tell of an attempt that sent no webhook.
        return [attempt for attempt in self.attempts if not attempt.moved_money]

    @property
    def misfits(self) -> list[Attempt]:
        """The attempts that were paid at another price than the application's."""
        return [attempt for attempt in self.attempts if attempt.was_paid and not self.fits(attempt)]

    def complaints(self, row: Row | None, events: Sequence[Row]) -> list[str]:
        """What is wrong, one sentence each."""
        found = [*self._about_row(row), *self._about_events(events)]
        return [f"order {self.order.order_id}: {complaint}" for complaint in found]

    def _about_row(self, row: Row | None) -> list[str]:
        is_reported = any(attempt.is_reported for attempt in self.attempts)
        if row is None:
            return ["has no row"] if is_reported or self.order.is_inserted else []
        found = self._about_price(row)
        if self.wrote_last and self._is_as_written(row):
            # Nothing has looked at the row since: neither a webhook nor the worker had a reason to.
            return found
        attempt = next((known for known in self.attempts if known.payment_key == row["payment_key"]), None)
        if attempt is None:
            # Weaker: nobody needs to ask which payment it is while no money moved.
            if self.is_nameless and row["payment_status"] in {
                known.status for known in self.candidates if not known.moved_money
            }:
                return found
            # The application's own row: right only where no attempt can stand in it.
            if self._is_as_written(row) and not any(known.is_reported and self.fits(known) for known in self.attempts):
                return found
            return [*found, f"payment_key is {row['payment_key']}, not one of {self._names()}"]
        if attempt in self.misfits or not self.fits(attempt):
            is_paid = row["payment_status"] in ("DONE", "PARTIAL_CANCELED")
            found += ["is marked paid at a price that is not the application's"] * is_paid
            # A paid attempt at the right price is never hidden by one at a wrong price.
            found += [f"shows {attempt.payment_key}, not one of {self._names()}"] * self._has_money
            return found
        if attempt not in self.candidates:
            return [*found, f"shows {attempt.payment_key} ({attempt.status}), not one of {self._names()}"]
        return found + _differences(attempt, row)

    @property
    def _has_money(self) -> bool:
        return any(attempt.holds_money for attempt in self.candidates)

    def _is_as_written(self, row: Row) -> bool:
        order = self.order
        if not order.is_inserted:
            return False
        status = "DONE" if order.written_for else "PENDING"
        return bool(row["payment_key"] == order.key and row["payment_status"] == status)

    def _about_price(self, row: Row) -> list[str]:
        order = self.order
        if not order.is_inserted or (row["amount"] == order.price and row["currency"] == order.currency):
            return []
        return [f"costs {row['amount']} {row['currency']}, the application's price is {order.price} {order.currency}"]

    def _about_events(self, events: Sequence[Row]) -> list[str]:
        found = [
            f"an event is {event['status']} ({event['reason']})" for event in events if event["status"] not in FINAL
        ]
        failed = [event["reason"] for event in events if event["status"] == "failed"]
        paid = [attempt for attempt in self.attempts if attempt.was_paid]
        # Weaker: what happened and was undone before anybody looked need not be told, but may be.
        allowed = {MISMATCH} if any(not self.fits(attempt) for attempt in self.attempts) else set()
        allowed |= {DOUBLE} if len(paid) > 1 else set()
        found += [f"an event failed as {reason}" for reason in sorted(set(failed) - allowed)]
        if self.wrote_last:
            return found
        if any(attempt.moved_money for attempt in self.misfits) and MISMATCH not in failed:
            found.append("nothing tells of the payment at another price")
        if sum(attempt.holds_money for attempt in paid if self.fits(attempt)) > 1 and DOUBLE not in failed:
            found.append("nothing tells of the double charge")
        return found

    def _names(self) -> str:
        return ", ".join(f"{attempt.payment_key} ({attempt.status})" for attempt in self.candidates) or "none"


def _differences(attempt: Attempt, row: Row) -> list[str]:
    """What a row that shows this attempt tells differently from Toss."""
    expected: dict[str, tuple[Any, ...]] = {
        "payment_status": (attempt.status,),
        "amount": (attempt.total,),
        "currency": (attempt.currency,),
        "balance_amount": (attempt.balance,) if attempt.moved_money else (None,),
        "approved_at": (attempt.approved_at,),
        "canceled_at": (None,),
        "cancels": ({cancel.transaction_key: cancel.amount for cancel in attempt.cancels},),
    }
    if attempt.is_overdue and attempt.status == "WAITING_FOR_DEPOSIT":
        expected["payment_status"] = ("WAITING_FOR_DEPOSIT", "EXPIRED")  # whether the sweep has looked or not
    if attempt.status in ("READY", "IN_PROGRESS"):
        expected["payment_status"] = ("READY", "IN_PROGRESS")  # no webhook tells the one from the other
    if attempt.cancels:
        last = attempt.cancels[-1].at
        # Weaker: what stands there while a part is left, nobody has said.
        expected["canceled_at"] = (last,) if attempt.balance == 0 else (None, last)
        if not attempt.moved_money:
            expected["balance_amount"] = (None, Decimal())  # an account that was cancelled before its deposit
    shown = {
        **row,
        "cancels": {item["transactionKey"]: Decimal(str(item["cancelAmount"])) for item in row["cancels"] or ()},
    }
    return [
        f"{name} is {_text(shown[name])}, at Toss {attempt.payment_key} has {' or '.join(map(_text, values))}"
        for name, values in expected.items()
        if shown[name] not in values
    ]


def _text(value: Any) -> str:
    if isinstance(value, dict):
        return "{" + ", ".join(f"{key}: {_text(amount)}" for key, amount in value.items()) + "}"
    return str(value)
