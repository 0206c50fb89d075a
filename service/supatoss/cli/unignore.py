"""`supatoss events unignore`: takes back that events were ignored."""

from typing import TYPE_CHECKING, Annotated

import typer

from supatoss.cli.events import Actor, Apply, default_actor
from supatoss.cli.output import ExitStatus, JsonOption, print_json, print_table
from supatoss.cli.session import run_session

if TYPE_CHECKING:
    from supatoss.settings import Settings
    from supatoss.store import Store
    from supatoss.store.events import EventOutcome


def unignore(
    ids: Annotated[list[str], typer.Argument(help="Ids of events.")],
    *,
    apply: Apply = False,
    actor: Actor = None,
    json: JsonOption = False,
) -> None:
    """Undo ignore: events that an operator ignored are failed or pending again, as they were.

    Without --apply it is a dry run.
    """
    who = actor or default_actor()

    async def work(_settings: "Settings", store: "Store") -> "list[EventOutcome]":
        from supatoss.inbox.replay import unignore as unignore_events

        return await unignore_events(store, ids, actor=who, dry_run=not apply)

    outcomes = run_session(work)
    if json:
        print_json({"applied": apply, "events": [outcome.to_json() for outcome in outcomes]})
    else:
        rows = [[outcome.event, outcome.outcome, outcome.status, outcome.reason] for outcome in outcomes]
        print_table(("event", "outcome", "status after", "reason"), rows)
        if not apply:
            typer.echo("Nothing was changed. To undo the ignore, add --apply")
    if any(outcome.outcome != "unignored" for outcome in outcomes):
        raise typer.Exit(ExitStatus.FOUND)
