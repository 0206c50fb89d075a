"""What the tables have to hold, computed from the deliveries alone, in plain Python and without the service's code.

The rules are those of the design: a payments row is a function of the set of its events; money that moved is not
hidden by what failed; of two paid attempts the first counts; an amount that differs from the stored one counts not.
"""

import datetime as dt
import json
from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

from tests.faults.mix import SEOUL, Mix

Body = dict[str, Any]
Row = dict[str, Any]

MOVED = ("DONE", "PARTIAL_CANCELED", "CANCELED")


@dataclass(slots=True)
class Expected:
    """Rows by their keys. subscriptions: (customer, billing key) to the rest.

    events: what an event is stored as to (status, reason). stored_as: a delivery's name to that.
    """

    events: dict[str, tuple[str, str | None]] = field(default_factory=dict)
    payments: dict[str, Row] = field(default_factory=dict)
    subscriptions: dict[tuple[str, str], Row] = field(default_factory=dict)
    settlements: dict[str, Row] = field(default_factory=dict)
    stored_as: dict[str, str] = field(default_factory=dict)


def expect(mix: Mix) -> Expected:
    """The tables after every event of a mix."""
    bodies: dict[str, Body] = {sent.name: json.loads(sent.raw) for sent in mix.events}
    expected = Expected(
        events={sent.stored_as: ("processed", None) for sent in mix.events},
        stored_as={sent.name: sent.stored_as for sent in mix.events},
    )
    for order_id, amount in mix.stored_amounts.items():
        expected.payments[order_id] = _placeholder(order_id, amount)
    for order_id, events in _grouped(bodies, lambda data: data["orderId"], "PAYMENT_STATUS_CHANGED").items():
        _expect_order(expected, order_id, events, mix.stored_amounts.get(order_id))
    issued = [body["data"] for body in bodies.values() if body.get("eventType") == "BILLING_KEY_ISSUED"]
    owners = {data["billingKey"]: data["customerKey"] for data in issued}
    billing = _grouped(bodies, lambda data: owners[data["billingKey"]], "BILLING_KEY_ISSUED", "BILLING_DELETED")
    for customer, steps in billing.items():
        for key, row in _subscriptions([body for _, body in steps]).items():
            expected.subscriptions[customer, key] = row
    for name, body in bodies.items():
        if body.get("eventType") in ("SETTLEMENT_COMPLETED", "payout.changed"):
            key, row = _settlement(body)
            expected.settlements[key] = row
            if row["order_id"] in expected.payments:
                expected.payments[row["order_id"]]["settled_at"] = row["settled_at"]
        elif body.get("eventType") == "SOMETHING_NEW":
            expected.events[name] = ("ignored", "unknown_type")
    return expected


def _grouped(bodies: dict[str, Body], subject: Callable[[Body], str], *types: str) -> dict[str, list[tuple[str, Body]]]:
    """Names and bodies of these types by what they are about. A deposit says nothing that its payment does not."""
    groups: defaultdict[str, list[tuple[str, Body]]] = defaultdict(list)
    for name, body in bodies.items():
        if body.get("eventType") in types:
            groups[subject(body["data"])].append((name, body))
    return groups


def _expect_order(expected: Expected, order_id: str, events: list[tuple[str, Body]], stored: int | None) -> None:
    attempts: defaultdict[str, list[tuple[str, Body]]] = defaultdict(list)
    for name, body in events:
        data = body["data"]
        if _status(body) in MOVED and stored is not None and data.get("totalAmount", stored) != stored:
            expected.events[name] = ("failed", "amount_mismatch")
        else:
            attempts[data["paymentKey"]].append((name, body))
    rows = [_attempt([body for _, body in members]) for members in attempts.values()]
    if not rows:
        return
    first, *others = sorted(rows, key=_place)
    for other in others:
        if _holds_money(first) and _holds_money(other):
            for name, body in attempts[other["payment_key"]]:
                if _status(body) in MOVED:
                    expected.events[name] = ("failed", "double_charge")
    amount = first["amount"] if stored is None else stored
    expected.payments[order_id] = {**first, "amount": amount, "settled_at": None}


def _placeholder(order_id: str, amount: int) -> Row:
    return {
        "payment_key": f"placeholder-{order_id}",
        "payment_status": "PENDING",
        "amount": amount,
        "balance_amount": None,
        "approved_at": None,
        "canceled_at": None,
        "failure_code": None,
        "cancels": 0,
        "settled_at": None,
    }


def _attempt(bodies: Sequence[Body]) -> Row:
    """The row of one payment, from everything that is told about it."""
    told = sorted(bodies, key=lambda body: (_occurred(body), _status(body) in MOVED))
    last = told[-1]
    undone = [_occurred(body) for body in told if _status(body) == "WAITING_FOR_DEPOSIT"]
    standing = [body for body in told if _status(body) in MOVED and (not undone or _occurred(body) >= undone[-1])]
    moved = standing[-1] if standing else None
    status = _status(moved or last)
    data = (moved or last)["data"]
    cancels = {item["transactionKey"]: item for body in standing for item in body["data"].get("cancels") or []}
    balance = data.get("balanceAmount", data.get("totalAmount")) if moved else None
    is_all_back = status == "CANCELED" or (status == "PARTIAL_CANCELED" and balance == 0)
    return {
        "payment_key": data["paymentKey"],
        "payment_status": status,
        "amount": next((body["data"]["totalAmount"] for body in told if "totalAmount" in body["data"]), None),
        "balance_amount": 0 if status == "CANCELED" else balance,
        "approved_at": _time(data["approvedAt"]) if moved else None,
        "canceled_at": max(_time(item["canceledAt"]) for item in cancels.values()) if is_all_back else None,
        "failure_code": None if moved else (data.get("failure") or {}).get("code"),
        "cancels": len(cancels),
    }


def _holds_money(row: Row) -> bool:
    return row["payment_status"] in ("DONE", "PARTIAL_CANCELED") and row["balance_amount"] != 0


def _place(row: Row) -> tuple[int, float]:
    """Paid attempts first, the earliest of them before all; then those that were paid once."""
    if _holds_money(row):
        return 0, row["approved_at"].timestamp()
    return (1, 0.0) if row["payment_status"] in MOVED else (2, 0.0)


def _subscriptions(steps: Iterable[Body]) -> dict[str, Row]:
    """One row a stay: a changed card goes on in the row of the old one, coming back makes another."""
    rows: dict[str, Row] = {}
    for body in sorted(steps, key=_occurred):
        key = body["data"]["billingKey"]
        if body["eventType"] == "BILLING_DELETED":
            if key in rows:
                rows[key] = {"status": "CANCELED", "canceled_at": _occurred(body)}
            continue
        for old in [old for old, row in rows.items() if row["status"] == "ACTIVE"]:
            del rows[old]
        rows[key] = {"status": "ACTIVE", "canceled_at": None}
    return rows


def _settlement(body: Body) -> tuple[str, Row]:
    if body["eventType"] == "payout.changed":
        payout = body["entityBody"]
        return f"payout:{payout['id']}", {
            "status": payout["status"],
            "order_id": None,
            "amount": payout["amount"]["value"],
            "pay_out_amount": payout["amount"]["value"],
            "settled_at": _occurred(body),
        }
    data = body["data"]
    return f"settlement:{data['settlementKey']}", {
        "status": "COMPLETED",
        "order_id": data["orderId"],
        "amount": data["amount"],
        "pay_out_amount": data["payOutAmount"],
        "settled_at": _occurred(body),
    }


def _status(body: Body) -> str:
    return str(body["data"]["status"])


def _occurred(body: Body) -> dt.datetime:
    data = body.get("data", {})
    own = (data.get(name) for name in ("approvedAt", "issuedAt"))
    return _time(body.get("createdAt") or next(moment for moment in own if moment))


def _time(text: str) -> dt.datetime:
    moment = dt.datetime.fromisoformat(text)
    return (moment if moment.tzinfo else moment.replace(tzinfo=SEOUL)).astimezone(dt.UTC)
