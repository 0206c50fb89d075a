"""The page of one order: its events as a timeline, and its row."""

import datetime as dt
from dataclasses import dataclass, field
from typing import Any

from starlette.responses import Response

from supatoss.inbox.event import EventStatus
from supatoss.ops.formats import count, links_to_toss, money, parse_moment
from supatoss.ops.i18n import Translator
from supatoss.ops.page import PageNotFound, PageRequest

MAX_ORDER_LENGTH = 200

_WITH_AMOUNT = ("PENDING", "READY", "IN_PROGRESS", "WAITING_FOR_DEPOSIT", "DONE")
"""Statuses shown with the full amount; cancels have amounts of their own."""

_FIRST = dt.datetime.min.replace(tzinfo=dt.UTC)
_LAST = dt.datetime.max.replace(tzinfo=dt.UTC)


@dataclass(frozen=True, slots=True)
class Step:
    """One entry. tone: status of its event. cancels: those that no earlier step has."""

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
class Timeline:
    """Steps, oldest first. has_more: older events are left out."""

    steps: list[Step] = field(default_factory=list)
    has_more: bool = False


def build_timeline(answer: dict[str, Any], texts: Translator) -> Timeline:
    """The timeline of an answer of supatoss_ops_payment_v1."""
    payment = answer["payment"] or {}
    steps = []
    if payment.get("asked_amount") is not None:
        at = parse_moment(payment["created_at"])
        amount, currency = payment["asked_amount"], payment["asked_currency"] or payment["currency"]
        steps.append(Step(texts.t("payment.asked"), at, EventStatus.IGNORED, amount, currency))
    known_cancels: set[str] = set()
    settled = {row["settlement_key"]: row for row in answer["settlements"]}
    for event in answer["events"]:
        currency = event["currency"] or payment.get("currency") or "KRW"
        cancels = tuple(item for item in event["cancels"] if _key(item) not in known_cancels)
        if event["status"] == EventStatus.PROCESSED:
            known_cancels |= {_key(item) for item in cancels}
        settlement = settled.pop(event["settlement_key"], None) if event["kind"] == "settlement" else None
        steps.append(_step(event, currency, cancels, settlement, texts))
    steps += [_settlement(row, texts) for row in settled.values()]
    return Timeline(sorted(steps, key=_moment), answer["has_more"])


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
    if event["delivery_count"] > 1:
        lines.append(texts.t("payment.delivered", number=count(event["delivery_count"])))
    return Step(
        _title(event, settlement, texts),
        # The account was issued before anything else, whenever Toss reported it.
        None if event["is_first"] and not event["occurred_at"] else parse_moment(event["occurred_at"]),
        event["status"],
        event["amount"] if event["payment_status"] in _WITH_AMOUNT else None,
        currency,
        tuple(lines),
        cancels,
        event,
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
    if step.event is None and step.tone == EventStatus.IGNORED:
        return _FIRST, False
    return step.at or _LAST, True


async def show_payment(request: PageRequest) -> Response:
    """GET /ops/payment?order=. An order id may contain any character, so it is in the query."""
    order_id = request.http.query_params.get("order", "")
    if not order_id or len(order_id) > MAX_ORDER_LENGTH or "\x00" in order_id:
        raise PageNotFound
    answer = await request.store.read_payment(order_id)
    if not answer["payment"] and not answer["events"]:
        raise PageNotFound
    return request.render(
        "payment.html",
        section="events",
        order_id=order_id,
        payment=answer["payment"],
        timeline=build_timeline(answer, request.texts),
        links=links_to_toss(answer["payment"]),
    )
