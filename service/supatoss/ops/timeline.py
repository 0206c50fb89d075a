"""What happened to an order, from its events: each state once, and the payments that were one too many. Pure."""

import datetime as dt
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from decimal import Decimal
from typing import Any

from supatoss.inbox.event import EventStatus
from supatoss.ops.formats import money, parse_moment
from supatoss.ops.i18n import Translator

_WITH_AMOUNT = ("PENDING", "READY", "IN_PROGRESS", "WAITING_FOR_DEPOSIT", "DONE")
"""Statuses shown with the full amount; cancels have amounts of their own."""

_DOUBLE_CHARGE = "double_charge"

_FIRST = dt.datetime.min.replace(tzinfo=dt.UTC)
_LAST = dt.datetime.max.replace(tzinfo=dt.UTC)


@dataclass(frozen=True, slots=True)
class Step:
    """One state. tone: status of its events. cancels: those that no earlier step has. events: all that report it."""

    title: str
    at: dt.datetime | None
    tone: str
    amount: object = None
    currency: object = "KRW"
    lines: tuple[str, ...] = ()
    cancels: tuple[dict[str, Any], ...] = ()
    events: tuple[dict[str, Any], ...] = ()
    error: str | None = None

    @property
    def delivery_count(self) -> int:
        """How often all of its events were delivered."""
        return sum(int(event["delivery_count"]) for event in self.events)


@dataclass(frozen=True, slots=True)
class Timeline:
    """Steps, oldest first. has_more: older events are left out."""

    steps: list[Step] = field(default_factory=list)
    has_more: bool = False


@dataclass(frozen=True, slots=True)
class SurplusPayment:
    """A surplus payment: another payment has already paid the order. With the amount not yet cancelled."""

    payment_key: str
    left: Decimal
    currency: str
    event_id: str
    at: dt.datetime | None


def build_timeline(answer: Mapping[str, Any], texts: Translator) -> Timeline:
    """The timeline of an answer of supatoss_ops_payment_v1."""
    payment = answer["payment"] or {}
    steps = []
    if payment.get("asked_amount") is not None:
        at = parse_moment(payment["created_at"])
        amount, currency = payment["asked_amount"], payment["asked_currency"] or payment["currency"]
        steps.append(Step(texts.t("payment.asked"), at, EventStatus.IGNORED, amount, currency))
    settled = {row["settlement_key"]: row for row in answer["settlements"]}
    known_cancels: set[str] = set()
    states: dict[object, int] = {}
    for event in answer["events"]:
        currency = event["currency"] or payment.get("currency") or "KRW"
        cancels = tuple(item for item in event["cancels"] if _key(item) not in known_cancels)
        if event["status"] == EventStatus.PROCESSED:
            known_cancels |= {_key(item) for item in cancels}
        settlement = settled.pop(event["settlement_key"], None) if event["kind"] == "settlement" else None
        step = _step(event, currency, cancels, settlement, texts)
        subject = (event["kind"], event["payment_key"], event["settlement_key"])
        place = states.get(subject)
        if place is not None and not cancels and _is_same_state(steps[place].events[-1], event):
            steps[place] = _joined(steps[place], step)
        else:
            states[subject] = len(steps)
            steps.append(step)
    steps += [_settlement(row, texts) for row in settled.values()]
    return Timeline(sorted(steps, key=_moment), answer["has_more"])


def find_surplus(events: Sequence[Mapping[str, Any]], currency: str | None) -> list[SurplusPayment]:
    """Payments that must be cancelled at Toss, each with the remaining amount from its latest event."""
    found: dict[str, SurplusPayment] = {}
    for event in events:
        if (event["status"], event["reason"]) == (EventStatus.FAILED, _DOUBLE_CHARGE):
            left = event["balance"] if event["balance"] is not None else event["amount"]
            before = found.get(event["payment_key"])
            found[event["payment_key"]] = SurplusPayment(
                event["payment_key"],
                Decimal(left) if left is not None else before.left if before else Decimal(0),
                event["currency"] or currency or "KRW",
                event["id"],
                before.at if before else parse_moment(event["occurred_at"]),
            )
    return list(found.values())


def _is_same_state(event: Mapping[str, Any], other: Mapping[str, Any]) -> bool:
    """Whether both report the same state and had the same outcome."""
    names = ("payment_status", "status", "reason")
    return event["payment_status"] is not None and all(event[name] == other[name] for name in names)


def _joined(step: Step, other: Step) -> Step:
    """Merges events that report one state: it began with the first, and later ones may add details."""
    return replace(
        step,
        at=step.at or other.at,
        amount=step.amount if step.amount is not None else other.amount,
        lines=tuple(dict.fromkeys((*step.lines, *other.lines))),
        events=(*step.events, *other.events),
        error=step.error or other.error,
    )


def _step(
    event: dict[str, Any],
    currency: str,
    cancels: tuple[dict[str, Any], ...],
    settlement: dict[str, Any] | None,
    texts: Translator,
) -> Step:
    lines = []
    if settlement:
        lines += _money_lines(settlement, texts)
    if event["payment_status"] == "DONE" and event["method"]:
        lines.append(texts.t("payment.by", method=event["method"]))
    if cancels and event["balance"] is not None:
        lines.append(texts.t("payment.left", amount=money(event["balance"], currency)))
    failure = " · ".join(filter(None, (event["failure_code"], event["failure_message"])))
    if failure:
        lines.append(failure)
    return Step(
        _title(event, settlement, texts),
        # The account was issued before anything else, whenever Toss reported it.
        None if event["is_first"] and not event["occurred_at"] else parse_moment(event["occurred_at"]),
        event["status"],
        event["amount"] if event["payment_status"] in _WITH_AMOUNT else None,
        currency,
        tuple(lines),
        cancels,
        (event,),
        event["last_error"] if event["status"] != EventStatus.PROCESSED else None,
    )


def _title(event: dict[str, Any], settlement: dict[str, Any] | None, texts: Translator) -> str:
    if event["event_type"].startswith("supatoss.account_"):
        return texts.t("payment.expired_here")
    if event["kind"] == "settlement":
        return texts.t("payment.payout" if settlement and settlement["kind"] == "payout" else "payment.settlement")
    return (
        texts.named("payment", event["payment_status"]) if event["payment_status"] else texts.t("payment.other_event")
    )


def _settlement(row: dict[str, Any], texts: Translator) -> Step:
    title = texts.t("payment.payout" if row["kind"] == "payout" else "payment.settlement")
    at = parse_moment(row["settled_at"] or row["occurred_at"])
    return Step(title, at, EventStatus.PROCESSED, lines=tuple(_money_lines(row, texts)))


def _money_lines(row: dict[str, Any], texts: Translator) -> list[str]:
    names = (("pay_out_amount", "payment.paid_out"), ("fee", "payment.fee"))
    return [texts.t(text, amount=money(row[name], row["currency"])) for name, text in names if row[name] is not None]


def _key(cancel: dict[str, Any]) -> str:
    return str(cancel["key"] or (cancel["at"], cancel["amount"]))


def _moment(step: Step) -> tuple[dt.datetime, bool]:
    """The application's own amount comes first, steps without a time last; the rest keeps the fold's order."""
    if not step.events and step.tone == EventStatus.IGNORED:
        return _FIRST, False
    return step.at or _LAST, True
