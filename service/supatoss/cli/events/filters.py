"""The options that say which events are meant, the same for every command of the group."""

import datetime as dt
from typing import TYPE_CHECKING, Annotated

import typer

from supatoss.cli.moments import read_moment

if TYPE_CHECKING:
    from supatoss.eventlog import EventFilter

Statuses = Annotated[
    list[str] | None, typer.Option("--status", help="processed, ignored, pending or failed; may be given again.")
]
Types = Annotated[list[str] | None, typer.Option("--type", help="Event type as Toss names it; may be given again.")]
Reasons = Annotated[list[str] | None, typer.Option("--with-reason", help="Reason, such as amount_mismatch.")]
Order = Annotated[str | None, typer.Option("--order", help="Order id.")]
PaymentKey = Annotated[str | None, typer.Option("--payment-key", help="Payment key of Toss.")]
Since = Annotated[str | None, typer.Option("--since", help="Created at or after: 2h (ago), 2026-03-14, …T09:00 (KST).")]
Until = Annotated[str | None, typer.Option("--until", help="Created before.")]

STATUSES = ("processed", "ignored", "pending", "failed")


def make_filter(
    *,
    ids: list[str] | None = None,
    statuses: list[str] | None = None,
    types: list[str] | None = None,
    reasons: list[str] | None = None,
    order: str | None = None,
    payment_key: str | None = None,
    since: str | None = None,
    until: str | None = None,
) -> "EventFilter":
    """The filter that the options mean. Raises NotAllowed."""
    from supatoss.errors import NotAllowed
    from supatoss.eventlog import EventFilter

    for status in statuses or ():
        if status not in STATUSES:
            raise NotAllowed(f"{status[:40]!r} is no status: {', '.join(STATUSES)}")
    given = [*(types or ()), *(reasons or ()), order or "", payment_key or ""]
    if any("\x00" in text for text in given):
        raise NotAllowed("a filter has a character that nothing stored has")
    now = dt.datetime.now(dt.UTC)
    return EventFilter(
        ids=tuple(ids or ()),
        statuses=tuple(statuses or ()),
        types=tuple(types or ()),
        reasons=tuple(reasons or ()),
        order_id=order,
        payment_key=payment_key,
        created_from=read_moment(since, now) if since else None,
        created_until=read_moment(until, now) if until else None,
    )
