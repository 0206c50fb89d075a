"""`supatoss events refused`: the newest refused deliveries."""

import json as json_text
from typing import TYPE_CHECKING, Annotated, Any

import typer

from supatoss.cli.options import show_moment
from supatoss.cli.output import JsonOption, plain, print_json, print_table
from supatoss.cli.session import ask
from supatoss.errors import NotAllowed

if TYPE_CHECKING:
    from supatoss.store.refused import RefusedCalls, RefusedDelivery

COLUMNS = ("received (KST)", "id", "type", "reason", "answer", "from")
DEFAULT_LIMIT = 20


def refused(
    *,
    limit: Annotated[
        int, typer.Option("--limit", metavar="N", min=1, max=500, help="Deliveries on a page, at most 500.")
    ] = DEFAULT_LIMIT,
    before: Annotated[
        int | None, typer.Option("--before", metavar="NEXT", min=1, help="Continue after a page: its `next`.")
    ] = None,
    body: Annotated[
        int | None, typer.Option("--body", min=1, metavar="ID", help="Show this one, with its body.")
    ] = None,
    json: JsonOption = False,
) -> None:
    """List refused deliveries, newest first.

    Includes those that were answered 200 without being stored. The log keeps the newest 1,000 and records at most five
    a second. Bodies are masked.

    Example: supatoss events refused --body 1234
    """
    from supatoss.store.refused import RefusedCalls

    async def work(store: "RefusedCalls") -> "list[RefusedDelivery]":
        if body is None:
            return await store.read_refused(limit, before)
        return [delivery for delivery in await store.read_refused(1, body + 1) if delivery.id == body]

    deliveries = ask(RefusedCalls, work)
    if body is not None and not deliveries:
        raise NotAllowed(f"there is no refused delivery {body} in the log")
    following = deliveries[-1].id if body is None and len(deliveries) == limit else None
    if json:
        print_json({"deliveries": [_to_json(delivery) for delivery in deliveries], "next": following})
        return
    if not deliveries:
        typer.echo("No refused deliveries.")
        return
    print_table(COLUMNS, [_cells(delivery) for delivery in deliveries])
    if body is not None:
        typer.echo(_body(deliveries[0]))
    if following:
        typer.echo(f"Older ones: --before {following}")


def _cells(delivery: "RefusedDelivery") -> list[object]:
    return [
        show_moment(delivery.received_at),
        delivery.id,
        delivery.event_type,
        delivery.reason,
        delivery.http_status,
        delivery.source_address,
    ]


def _to_json(delivery: "RefusedDelivery") -> dict[str, Any]:
    from supatoss.inbox.refused import shown_body

    return {
        "id": delivery.id,
        "received_at": delivery.received_at.isoformat(),
        "event_type": delivery.event_type,
        "reason": delivery.reason,
        "http_status": delivery.http_status,
        "source_address": delivery.source_address,
        "body": shown_body(delivery.body),
    }


def _body(delivery: "RefusedDelivery") -> str:
    from supatoss.inbox.refused import shown_body

    shown = shown_body(delivery.body)
    if shown is None:
        return "[no body was read]"
    text = shown if isinstance(shown, str) else json_text.dumps(shown, ensure_ascii=False, indent=2)
    return "\n".join(plain(line) for line in text.splitlines())
