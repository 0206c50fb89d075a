"""What is wrong with an event, in figures, and what to do about it first. Pure.

The figures come from webhook_events.last_error, as the migrations and the worker write it; current amounts come from
the rows.
"""

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from decimal import Decimal, InvalidOperation
from enum import StrEnum
from typing import Any

from supatoss.inbox.attempt import MAX_ATTEMPTS
from supatoss.inbox.event import EventReason, EventStatus
from supatoss.ops.formats import money
from supatoss.ops.i18n import CATALOGUES, Translator
from supatoss.store.events import StoredEvent
from supatoss.store.last_error import DIFFERING, TWICE


class Advised(StrEnum):
    """The action that an event's page offers first."""

    DRY_RUN = "dry_run"
    REPLAY = "replay"
    CANCEL_AT_TOSS = "cancel_at_toss"
    CHECK_AT_TOSS = "check_at_toss"
    WAIT = "wait"
    NONE = "none"


@dataclass(frozen=True, slots=True)
class Problem:
    """figures: short facts, the most important first. detail: the error as it is stored."""

    title: str
    advice: str
    figures: tuple[str, ...] = ()
    detail: str = ""
    advised: Advised = Advised.NONE


Rows = Mapping[str, Any]
Change = Mapping[str, Any]

_DISAGREES = re.compile(r"the delivery says (\w+), Toss shows (\w+)")
_TOSS = re.compile(
    r"^Toss, [^:]+: (?P<problem>.+?)(?: \(HTTP (?P<http>\d+)\))?(?: with (?P<key>.+) of TOSS_SECRET_KEY)?$",
    re.MULTILINE,
)
_REFUSED = re.compile(r"(?:(?P<where>[^:\n]*): ?)?(?P<message>.*?) ?\(SQLSTATE (?P<state>\w{5})\)", re.DOTALL)
_STATUS = re.compile(r"data\.status: (.+?) is none of")
_FIELD = re.compile(r"(?P<field>[\w.]+): (?:Value error, )?(?P<problem>[^;]+)")
_MAX_FIELDS = 3

_ADVISED = {
    "amount_mismatch": Advised.CHECK_AT_TOSS,
    "approval_amount_mismatch": Advised.CHECK_AT_TOSS,
    "double_charge": Advised.CANCEL_AT_TOSS,
    "too_many_events": Advised.CHECK_AT_TOSS,
    "malformed": Advised.CHECK_AT_TOSS,
    "unknown_status": Advised.CHECK_AT_TOSS,
    "not_borne_out": Advised.CHECK_AT_TOSS,
}
"""By the reason of a failed event. For others, the dry run comes first: it shows whether the cause is gone."""


def describe_problem(event: StoredEvent, change: Change, rows: Rows, texts: Translator) -> Problem | None:
    """What is wrong with an event; None if nothing is. change: its change, masked."""
    if not event.reason and not event.last_error:
        return None
    reason = event.reason or "none"
    figures = list(_figures(event, change, rows, texts))
    if event.status == EventStatus.PENDING:
        figures.append(attempts(event, texts))
    return Problem(
        texts.named("reason", reason),
        texts.advice(event.reason),
        tuple(figures),
        event.last_error or "",
        _advised(event, change, rows),
    )


def attempts(event: StoredEvent, texts: Translator) -> str:
    """How many look-ups were tried, out of how many. If Toss denies a claim, look-ups go on for a day instead."""
    if event.reason == EventReason.TOSS_DISAGREES:
        return texts.t("event.attempts_in_a_day", number=event.attempts)
    return texts.t("event.attempts", number=event.attempts, most=MAX_ATTEMPTS)


def _advised(event: StoredEvent, change: Change, rows: Rows) -> Advised:
    if event.status == EventStatus.PENDING:
        return Advised.WAIT
    if event.status != EventStatus.FAILED:
        return Advised.NONE
    amounts = _amounts(event, change, rows)
    if event.reason in ("amount_mismatch", "approval_amount_mismatch") and amounts and amounts.is_corrected:
        return Advised.DRY_RUN
    return _ADVISED.get(event.reason or "", Advised.DRY_RUN)


@dataclass(frozen=True, slots=True)
class _Amounts:
    """What Toss reports, what was stored when the event failed, and what is stored now."""

    toss: Decimal
    toss_currency: str
    stored: Decimal
    stored_currency: str
    now: Decimal | None
    now_currency: str

    @property
    def is_corrected(self) -> bool:
        return (self.now, self.now_currency) == (self.toss, self.toss_currency)


def _amounts(event: StoredEvent, change: Change, rows: Rows) -> _Amounts | None:
    found = DIFFERING.search(event.last_error or "")
    if not found:
        return None
    currency = str(change.get("currency") or "KRW")
    payment = rows.get("payment") or {}
    toss, stored = _decimal(found[1]), _decimal(found[3])
    if toss is None or stored is None:
        return None
    now_currency = str(payment.get("currency") or currency)
    return _Amounts(
        toss, found[2] or currency, stored, found[4] or currency, _decimal(payment.get("amount")), now_currency
    )


def _decimal(text: object) -> Decimal | None:
    try:
        return Decimal(str(text))
    except InvalidOperation:
        return None


def _figures(event: StoredEvent, change: Change, rows: Rows, texts: Translator) -> Iterator[str]:
    describe = _DESCRIBED.get(event.reason or "")
    if describe:
        yield from describe(event, change, rows, texts)


def _differing(event: StoredEvent, change: Change, rows: Rows, texts: Translator) -> Iterator[str]:
    amounts = _amounts(event, change, rows)
    if amounts is None:
        return
    yield texts.t("figure.toss", amount=money(amounts.toss, amounts.toss_currency))
    yield texts.t("figure.stored", amount=money(amounts.stored, amounts.stored_currency))
    if amounts.toss_currency == amounts.stored_currency:
        yield texts.t("figure.difference", amount=money(abs(amounts.toss - amounts.stored), amounts.toss_currency))
    if amounts.is_corrected and amounts.now != amounts.stored:
        yield texts.t("figure.stored_now", amount=money(amounts.now, amounts.now_currency))


def _twice(event: StoredEvent, change: Change, _rows: Rows, texts: Translator) -> Iterator[str]:
    if change.get("amount") is not None:
        yield texts.t("figure.excess", amount=money(change["amount"], change.get("currency")))
    found = TWICE.search(event.last_error or "")
    if found:
        yield texts.t("figure.this_payment", name=found[1])
        yield texts.t("figure.first_payment", name=found[2])


def _disagreeing(event: StoredEvent, _change: Change, _rows: Rows, texts: Translator) -> Iterator[str]:
    found = _DISAGREES.search(event.last_error or "")
    if found:
        yield texts.t("figure.webhook_says", status=texts.named("payment", found[1]))
        yield texts.t("figure.toss_says", status=texts.named("payment", found[2]))


def _refused_by_toss(event: StoredEvent, _change: Change, _rows: Rows, texts: Translator) -> Iterator[str]:
    found = _TOSS.search(event.last_error or "")
    if not found:
        return
    yield texts.t("figure.toss_answers", problem=found["problem"])
    if found["http"]:
        yield f"HTTP {found['http']}"
    if found["key"]:
        yield texts.t("figure.key", name=found["key"])
    if event.status == EventStatus.FAILED and event.attempts:
        yield attempts(event, texts)


def _refused_by_database(event: StoredEvent, _change: Change, _rows: Rows, texts: Translator) -> Iterator[str]:
    found = _REFUSED.search(event.last_error or "")
    if not found:
        return
    if found["where"]:
        yield texts.t("figure.where", place=found["where"])
    if found["message"]:
        yield found["message"]
    state = found["state"]
    known = CATALOGUES[texts.language].get(f"sqlstate.{state}")
    yield f"SQLSTATE {state}: {known}" if known else f"SQLSTATE {state}"


def _unknown_status(event: StoredEvent, _change: Change, _rows: Rows, texts: Translator) -> Iterator[str]:
    found = _STATUS.search(event.last_error or "")
    if found:
        yield texts.t("figure.toss_says", status=found[1])


def _malformed(event: StoredEvent, _change: Change, _rows: Rows, _texts: Translator) -> Iterator[str]:
    for found in list(_FIELD.finditer(event.last_error or ""))[:_MAX_FIELDS]:
        yield f"{found['field']}: {found['problem']}"


def _ambiguous(_event: StoredEvent, change: Change, rows: Rows, texts: Translator) -> Iterator[str]:
    if change.get("customer_key"):
        yield texts.t("figure.customer", name=change["customer_key"])
    live = sum(row["status"] in ("ACTIVE", "PAUSED") for row in rows.get("subscriptions") or ())
    if live:
        yield texts.t("figure.live_subscriptions", number=live)


def _of_order(event: StoredEvent, _change: Change, _rows: Rows, texts: Translator) -> Iterator[str]:
    if event.order_id:
        yield texts.t("figure.order", order=event.order_id)


def _of_payment(event: StoredEvent, _change: Change, _rows: Rows, texts: Translator) -> Iterator[str]:
    if event.payment_key:
        yield texts.t("figure.this_payment", name=event.payment_key)


def _ignored(event: StoredEvent, _change: Change, _rows: Rows, texts: Translator) -> Iterator[str]:
    done = [action for action in event.actions if action.action == "ignore"]
    if done:
        yield texts.t("figure.ignored_by", actor=done[-1].actor)
        if done[-1].reason:
            yield done[-1].reason


_DESCRIBED: Mapping[str, Callable[[StoredEvent, Change, Rows, Translator], Iterator[str]]] = {
    "amount_mismatch": _differing,
    "approval_amount_mismatch": _differing,
    "double_charge": _twice,
    "too_many_events": _of_order,
    "ambiguous_subscription": _ambiguous,
    "refused_by_database": _refused_by_database,
    "hook_failed": _refused_by_database,
    "no_stored_amount": _of_order,
    "unavailable": _refused_by_toss,
    "not_found": _refused_by_toss,
    "refused": _refused_by_toss,
    "misconfigured": _refused_by_toss,
    "check_deposit": _refused_by_toss,
    "find_payment": _refused_by_toss,
    "unknown_order": _of_payment,
    "toss_disagrees": _disagreeing,
    "not_borne_out": _disagreeing,
    "unknown_status": _unknown_status,
    "malformed": _malformed,
    "operator": _ignored,
}
