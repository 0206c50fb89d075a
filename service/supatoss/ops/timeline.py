"""An order's story, in the order in which it happened."""

import datetime as dt
from dataclasses import dataclass, field
from typing import Any

from starlette.responses import Response

from supatoss.inbox.event import EventStatus
from supatoss.ops.formats import count, links_to_toss, money, parse_moment
from supatoss.ops.i18n import Words
from supatoss.ops.visits import Missing, Visit

_WITH_AMOUNT = ("PENDING", "READY", "IN_PROGRESS", "WAITING_FOR_DEPOSIT", "DONE")
"""Statuses beside which the whole amount says something; cancels have amounts of their own."""

_FIRST = dt.datetime.min.replace(tzinfo=dt.UTC)
_LAST = dt.datetime.max.replace(tzinfo=dt.UTC)


@dataclass(frozen=True, slots=True)
class Step:
    """One thing that happened. tone: status of its event. cancels: those that no step before it had."""

    title: str
    at: dt.datetime | None
    tone: str
    amount: object = None
    currency: object = "KRW"
    lines: tuple[str, ...] = ()
    cancels: tuple[dict[str, Any], ...] = ()
    event: dict[str, Any] | None = None
    error: str | None = None


@dataclass(frozen=True, slots=True)
class Story:
    """The steps, first one first; has_more: older events are left out."""

    steps: list[Step] = field(default_factory=list)
    has_more: bool = False


def tell(answer: dict[str, Any], words: Words) -> Story:
    """The story of what supatoss_ops_payment_v1 answered."""
    payment = answer["payment"] or {}
    steps = []
    if payment.get("asked_amount") is not None:
        at = parse_moment(payment["created_at"])
        amount, currency = payment["asked_amount"], payment["asked_currency"] or payment["currency"]
        steps.append(Step(words.t("payment.asked"), at, EventStatus.IGNORED, amount, currency))
    known_cancels: set[str] = set()
    settled = {row["settlement_key"]: row for row in answer["settlements"]}
    for event in answer["events"]:
        currency = event["currency"] or payment.get("currency") or "KRW"
        cancels = tuple(item for item in event["cancels"] if _key(item) not in known_cancels)
        if event["status"] == EventStatus.PROCESSED:
            known_cancels |= {_key(item) for item in cancels}
        settlement = settled.pop(event["settlement_key"], None) if event["kind"] == "settlement" else None
        steps.append(_step(event, currency, cancels, settlement, words))
    steps += [_settlement(row, words) for row in settled.values()]
    return Story(sorted(steps, key=_moment), answer["has_more"])


def _step(
    event: dict[str, Any],
    currency: str,
    cancels: tuple[dict[str, Any], ...],
    settlement: dict[str, Any] | None,
    words: Words,
) -> Step:
    lines = []
    if settlement:
        lines += _money_lines(settlement, words)
    if event["payment_status"] == "DONE" and event["method"]:
        lines.append(words.t("payment.by", method=event["method"]))
    if cancels and event["balance"] is not None:
        lines.append(words.t("payment.left", amount=money(event["balance"], currency)))
    failure = " · ".join(filter(None, (event["failure_code"], event["failure_message"])))
    if failure:
        lines.append(failure)
    if event["delivery_count"] > 1:
        lines.append(words.t("payment.delivered", number=count(event["delivery_count"])))
    return Step(
        _title(event, settlement, words),
        # The account was issued before anything else, whenever Toss told of it.
        None if event["is_first"] and not event["occurred_at"] else parse_moment(event["occurred_at"]),
        event["status"],
        event["amount"] if event["payment_status"] in _WITH_AMOUNT else None,
        currency,
        tuple(lines),
        cancels,
        event,
        event["last_error"] if event["status"] != EventStatus.PROCESSED else None,
    )


def _title(event: dict[str, Any], settlement: dict[str, Any] | None, words: Words) -> str:
    if event["event_type"].startswith("supatoss.account_"):
        return words.t("payment.expired_here")
    if event["kind"] == "settlement":
        return words.t("payment.payout" if settlement and settlement["kind"] == "payout" else "payment.settlement")
    return (
        words.named("payment", event["payment_status"]) if event["payment_status"] else words.t("payment.other_event")
    )


def _settlement(row: dict[str, Any], words: Words) -> Step:
    title = words.t("payment.payout" if row["kind"] == "payout" else "payment.settlement")
    at = parse_moment(row["settled_at"] or row["occurred_at"])
    return Step(title, at, EventStatus.PROCESSED, lines=tuple(_money_lines(row, words)))


def _money_lines(row: dict[str, Any], words: Words) -> list[str]:
    names = (("pay_out_amount", "payment.paid_out"), ("fee", "payment.fee"))
    return [words.t(text, amount=money(row[name], row["currency"])) for name, text in names if row[name] is not None]


def _key(cancel: dict[str, Any]) -> str:
    return str(cancel["key"] or (cancel["at"], cancel["amount"]))


def _moment(step: Step) -> tuple[dt.datetime, bool]:
    """What the application asked for comes first; what has no time comes last; the rest keeps the fold's order."""
    if step.event is None and step.tone == EventStatus.IGNORED:
        return _FIRST, False
    return step.at or _LAST, True


MAX_ORDER = 200


async def show_payment(visit: Visit) -> Response:
    """GET /ops/payment?order=. Orders have any characters, so they stand in the query."""
    order_id = visit.request.query_params.get("order", "")
    if not order_id or len(order_id) > MAX_ORDER or "\x00" in order_id:
        raise Missing
    answer = await visit.store.read_payment(order_id)
    if not answer["payment"] and not answer["events"]:
        raise Missing
    return visit.render(
        "payment.html",
        section="events",
        order_id=order_id,
        payment=answer["payment"],
        story=tell(answer, visit.words),
        links=links_to_toss(answer["payment"]),
    )
