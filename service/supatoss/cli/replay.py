"""`supatoss events replay`, `ignore` and `unignore`: operator actions on stored events, with a dry run first."""

from collections import Counter
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import replace as changed
from typing import TYPE_CHECKING, Annotated

import typer

from supatoss.cli.options import Actor, Apply, default_actor, takes_filter
from supatoss.cli.output import ExitStatus, JsonOption, is_terminal, print_json, print_progress, print_table
from supatoss.cli.session import ask
from supatoss.cli.table import Column, Cut
from supatoss.readable import money

if TYPE_CHECKING:
    from supatoss.inbox.actions import Progress, Selection
    from supatoss.store.events import EventCalls, EventFilter, EventOutcome, PaymentState, StoredEvent

    Act = Callable[[EventCalls, Sequence[str], Progress], Awaitable[object]]

Ids = Annotated[
    list[str] | None,
    typer.Argument(metavar="ID", help="Event ids, or 4 or more characters of an end.", show_default=False),
]
Limit = Annotated[
    int, typer.Option("--limit", metavar="N", help="At most this many events, oldest first; up to 10000.")
]

DEFAULT_LIMIT = 100
_DONE = ("replayed", "ignored", "unignored", "unchanged")
_REFUSED = {
    "payload_emptied": "refused: retention has removed its payload",
    "not_readable": "refused: its payload can't be read",
    "no_proof": "refused: it was never verified (another program wrote it)",
}
COLUMNS = (Column("event", Cut.NEVER), Column("order", Cut.MIDDLE, least=10), Column("what", Cut.NEVER))
PIPE_COLUMNS = ("event", "outcome", "status after", "reason", "payment before", "payment after", "what")
"""New ones come last."""


@takes_filter(has_period=True)
def replay(
    ids: Ids = None,
    *,
    wanted: "EventFilter",
    limit: Limit = DEFAULT_LIMIT,
    apply: Apply = False,
    actor: Actor = None,
    json: JsonOption = False,
) -> None:
    """Process stored events again.

    Takes failed and pending events, unless --status says otherwise. Nothing is applied twice. Without --apply it is a
    dry run: the database processes them, shows what would change, and rolls back.

    Example: supatoss events replay --reason amount_mismatch --since 1d
    """
    who = actor or default_actor()

    async def act(store: "EventCalls", chosen: Sequence[str], progress: "Progress") -> None:
        from supatoss.inbox.replay import replay as replay_events

        await replay_events(store, chosen, actor=who, dry_run=not apply, progress=progress)

    _run(_Report("replay", is_applied=apply, is_json=json, limit=limit), ids, wanted, act)


@takes_filter(has_period=True)
def ignore(
    ids: Ids = None,
    *,
    reason: Annotated[
        str, typer.Option("--reason", metavar="TEXT", help="Why they can be ignored, 1 to 500 characters.")
    ],
    wanted: "EventFilter",
    limit: Limit = DEFAULT_LIMIT,
    apply: Apply = False,
    actor: Actor = None,
    json: JsonOption = False,
) -> None:
    """Ignore failed or pending events, with a reason.

    Changes already applied stay. Without --apply it is a dry run.

    Example: supatoss events ignore 7c4d91ab --reason "refunded by phone" --apply
    """
    who = actor or default_actor()

    async def act(store: "EventCalls", chosen: Sequence[str], progress: "Progress") -> None:
        from supatoss.inbox.actions import ignore as ignore_events

        await ignore_events(store, chosen, reason, actor=who, dry_run=not apply, progress=progress)

    _run(_Report("ignore", is_applied=apply, is_json=json, limit=limit), ids, wanted, act)


def unignore(
    ids: Annotated[
        list[str], typer.Argument(metavar="ID", help="Ids of ignored events, or 4 or more characters of an end.")
    ],
    *,
    apply: Apply = False,
    actor: Actor = None,
    json: JsonOption = False,
) -> None:
    """Undo ignore: the events are failed or pending again, as they were.

    Without --apply it is a dry run.

    Example: supatoss events unignore 7c4d91ab --apply
    """
    who = actor or default_actor()
    report = _Report("unignore", is_applied=apply, is_json=json, limit=len(ids))

    async def work(store: "EventCalls") -> None:
        from supatoss.inbox.actions import Selection
        from supatoss.inbox.actions import unignore as unignore_events
        from supatoss.store.events import EventFilter

        whole = [await store.resolve_event_id(text) for text in ids]
        page = await store.find_events(EventFilter(ids=tuple(whole)), limit=len(whole))
        report.begin(Selection(page.events, (), has_more=False))
        report.add(await unignore_events(store, whole, actor=who, dry_run=not apply))

    _ask(work, report)
    raise typer.Exit(report.undone)


def _run(report: "_Report", ids: Sequence[str] | None, wanted: "EventFilter", act: "Act") -> None:
    async def work(store: "EventCalls") -> None:
        from supatoss.inbox.actions import select

        whole = [await store.resolve_event_id(text) for text in ids or ()]
        selection = await select(store, changed(wanted, ids=tuple(whole)), report.limit)
        report.begin(selection)
        await act(store, [event.id for event in selection.events], report.add)

    _ask(work, report)
    raise typer.Exit(report.status)


def _ask(work: "Callable[[EventCalls], Awaitable[None]]", report: "_Report") -> None:
    from supatoss.store.events import EventCalls

    try:
        ask(EventCalls, work)
    finally:
        report.print()  # what was done, however it ended


class _Report:
    """The outcome of each chosen event, printed as a table or JSON."""

    def __init__(self, verb: str, *, is_applied: bool, is_json: bool, limit: int) -> None:
        self.limit = limit
        self._verb = verb
        self._is_applied = is_applied
        self._is_json = is_json
        self._events: dict[str, StoredEvent] = {}
        self._outcomes: list[EventOutcome] = []
        self._has_more = False
        self._has_begun = False

    @property
    def status(self) -> ExitStatus:
        """Success, unless something failed or was refused."""
        is_found = any(one.outcome not in _DONE or one.status == "failed" for one in self._outcomes)
        return ExitStatus.FOUND if is_found else ExitStatus.OK

    @property
    def undone(self) -> ExitStatus:
        """Success if every ignore is undone. The events are then failed or pending, as intended."""
        is_undone = all(one.outcome == "unignored" for one in self._outcomes)
        return ExitStatus.OK if is_undone else ExitStatus.FOUND

    def begin(self, selection: "Selection") -> None:
        """Records which events were chosen, and which were refused already."""
        self._events = {event.id: event for event in selection.events}
        self._outcomes = list(selection.refused)
        self._has_more = selection.has_more
        self._has_begun = True

    def add(self, outcomes: Sequence["EventOutcome"]) -> None:
        """Records the outcome of some events."""
        self._outcomes.extend(outcomes)
        print_progress(f"{self._verb}: {len(self._outcomes)} of {len(self._events)}")

    def print(self) -> None:
        """Prints every outcome so far; nothing if no event was chosen yet."""
        print_progress()
        if not self._has_begun:
            return
        if self._is_json:
            events = [outcome.to_json() for outcome in self._outcomes]
            print_json({"applied": self._is_applied, "has_more": self._has_more, "events": events})
            return
        self._print_table()
        if self._has_more:
            typer.echo(f"More than {self.limit} events match; these are the oldest. Raise --limit for more.")
        if self._outcomes:
            typer.echo(self._summary())

    def _print_table(self) -> None:
        from supatoss.store.events import shorten_ids

        if not self._outcomes:
            typer.echo("No events match.")
        elif is_terminal():
            short = shorten_ids([one.event for one in self._outcomes])
            print_table(COLUMNS, [[short[one.event], self._order(one), self._told(one)] for one in self._outcomes])
        else:
            print_table(PIPE_COLUMNS, [self._fields(one) for one in self._outcomes])

    def _order(self, one: "EventOutcome") -> str | None:
        event = self._events.get(one.event)
        return event.order_id if event else None

    def _fields(self, one: "EventOutcome") -> list[str | None]:
        payments = [state.status if state else None for state in (one.payment_before, one.payment_after)]
        return [one.event, one.outcome, one.status, one.reason, *payments, self._told(one)]

    def _told(self, one: "EventOutcome") -> str:
        return told(one, is_applied=self._is_applied)

    def _summary(self) -> str:
        counts = Counter(result(one) for one in self._outcomes)
        counted = ", ".join(f"{count} {name}" for name, count in counts.items())
        if self._is_applied:
            return f"Done: {counted}."
        return f"Dry run: {counted}. Nothing was changed; to {self._verb} them: --apply"


def result(one: "EventOutcome") -> str:
    """An event's outcome in a word."""
    if one.outcome in ("replayed", "ignored"):
        return one.status or one.outcome
    return {"in_hand": "in progress", "changed": "changed meanwhile"}.get(one.outcome, one.outcome)


def told(one: "EventOutcome", *, is_applied: bool) -> str:
    """An event's outcome, or expected outcome: "would become processed; payment PENDING → DONE, ₩9,900"."""
    match one.outcome:
        case "replayed":
            return "; ".join(filter(None, (_replayed(one, is_applied=is_applied), _payment(one))))
        case "ignored":
            return "ignored" if is_applied else "would be ignored"
        case "unignored":
            return f"{one.status} again" if is_applied else f"would be {one.status} again"
        case "unchanged":
            return f"nothing to do: it is {one.status}"
        case "in_hand":
            return "a worker is processing it; try again in two minutes"
        case "changed":
            return "somebody finished it meanwhile; look again"
        case "refused":
            return _REFUSED.get(one.reason or "", f"refused: it is {one.status}, which --status does not select")
        case _:
            return "there is no such event"


def _replayed(one: "EventOutcome", *, is_applied: bool) -> str:
    reason = f" ({one.reason})" if one.reason else ""
    match one.status:
        case "failed":
            return f"failed again{reason}" if is_applied else f"would fail again{reason}"
        case "pending":
            return f"waits for Toss{reason}" if is_applied else f"would wait for Toss{reason}"
        case _:
            return f"{one.status}{reason}" if is_applied else f"would become {one.status}{reason}"


def _payment(one: "EventOutcome") -> str:
    before, after = one.payment_before, one.payment_after
    if after is None:
        return ""
    if before is None:
        return f"payment created: {after.status}, {_amount(after)}"
    amounts = dict.fromkeys((_amount(before), _amount(after)))
    if before.status == after.status and len(amounts) == 1:
        return f"payment stays {after.status}, {_amount(after)}"
    return f"payment {' → '.join(dict.fromkeys((before.status, after.status)))}, {' → '.join(amounts)}"


def _amount(state: "PaymentState") -> str:
    return money(state.amount, state.currency)
