"""`supatoss trigger`: sends made-up events to the webhook, as Toss would."""

import random
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Annotated, Any

import typer

from supatoss.cli.assignments import Assignment
from supatoss.cli.options import Form
from supatoss.cli.output import ExitStatus, JsonOption, plain, print_json, print_table
from supatoss.cli.session import run_async

if TYPE_CHECKING:
    from supatoss.cli.emulated import Facts
    from supatoss.cli.sending import Answer, Sender, SigningKeys


MAX_REPEATS = 1000
"""For more, use a load-testing tool."""


def _complete(incomplete: str) -> list[str]:
    from supatoss.toss.samples import SAMPLES

    return [name for name in SAMPLES if name.upper().startswith(incomplete.upper())]


@dataclass(frozen=True, slots=True)
class Shipment:
    """One delivery of one body."""

    event_type: str
    delivery_id: str
    form: Form
    body: bytes = field(repr=False)
    facts: "Facts | None" = field(default=None, repr=False)
    """What the emulator must know, so that look-ups and reconciliation agree with the event."""
    retried_count: int = 0


def trigger(
    names: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="EVENT", help="Events of the catalogue (--list), sent in this order.", autocompletion=_complete
        ),
    ] = None,
    *,
    is_all: Annotated[bool, typer.Option("--all", help="Send every event, about different orders.")] = False,
    assignments: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="PATH=VALUE", help="Set a field: data.totalAmount=100. JSON or text."),
    ] = None,
    to: Annotated[
        str | None, typer.Option("--to", metavar="URL", help="Where to send; by default the service on this machine.")
    ] = None,
    signed: Annotated[Form | None, typer.Option("--signed", help="Form of the signature.")] = None,
    repeat: Annotated[
        int,
        typer.Option("--repeat", min=1, max=MAX_REPEATS, help="Send each body this many times, like Toss's retries."),
    ] = 1,
    is_shuffled: Annotated[bool, typer.Option("--shuffle", help="Send in random order.")] = False,
    is_live_meant: Annotated[bool, typer.Option("--live", help="Allow signing with a live key.")] = False,
    is_unknown: Annotated[
        bool, typer.Option("--unknown-to-toss", help="Like a forgery: don't tell the emulator about the payment.")
    ] = False,
    is_dry: Annotated[bool, typer.Option("--dry-run", help="Show headers and bodies; send nothing.")] = False,
    is_list: Annotated[bool, typer.Option("--list", help="Show the events of the catalogue and exit.")] = False,
    json: JsonOption = False,
) -> None:
    """Send made-up events to the webhook, as Toss would.

    Events named together are about one order.

    Example: supatoss trigger PAYMENT_STATUS_CHANGED --set data.totalAmount=100
    """
    if is_list:
        _show_catalogue(json=json)
        return
    from supatoss.cli.dotenv import load_dotenv, load_local_stack
    from supatoss.cli.sending import SigningKeys, target

    load_dotenv()
    load_local_stack()
    keys = SigningKeys.read()
    shipments = _pack(names or [], is_all=is_all, assignments=assignments or [], form=signed, keys=keys)
    if keys.is_live and not (is_live_meant or is_dry) and any(shipment.form is not Form.NONE for shipment in shipments):
        raise typer.BadParameter(
            "made-up events signed with a live key would be accepted as real; to send them anyway: --live",
            param_hint="TOSS_SECRET_KEY",
        )
    queue = [
        replace(one, retried_count=count, facts=None if is_unknown else one.facts)
        for one in shipments
        for count in range(repeat)
    ]
    if is_shuffled:
        random.shuffle(queue)
    if is_dry:
        _show(queue, keys, json=json)
        return
    raise typer.Exit(run_async(_deliver(target(to), queue, keys, json=json)))


async def _deliver(url: str, queue: Sequence[Shipment], keys: "SigningKeys", *, json: bool) -> ExitStatus:
    """Sends one after the other, and stops when nothing answers."""
    from supatoss.cli.emulated import Emulator
    from supatoss.cli.sending import open_sender

    worst = ExitStatus.OK
    emulator = Emulator.beside(url)
    async with open_sender(url) as sender:
        for shipment in queue:
            emulator.tell(shipment.facts)
            answer = await _send(sender, shipment, keys, json=json)
            worst = max(worst, answer.exit_status)
            if answer.status is None:
                break
    return worst


def _pack(
    names: Sequence[str], *, is_all: bool, assignments: Sequence[str], form: Form | None, keys: "SigningKeys"
) -> list[Shipment]:
    from supatoss.cli.emulated import facts_of
    from supatoss.toss.events import PaymentStatusChanged, SettlementCompleted
    from supatoss.toss.samples import SAMPLES, SampleSubject, make_body, to_bytes, transmission_id
    from supatoss.toss.samples.bodies import payment

    by_upper = {name.upper(): name for name in SAMPLES}
    unknown = [name for name in names if name.upper() not in by_upper]
    if unknown or not (names or is_all):
        problem = f"{unknown[0]!r} is not in the catalogue" if unknown else "name an event, or --all"
        raise typer.BadParameter(f"{problem}; it has: {', '.join(SAMPLES)}", param_hint="EVENT")
    if names and is_all:
        raise typer.BadParameter("--all sends every event; do not name any", param_hint="EVENT")
    shared = SampleSubject.new()
    shipments = []
    try:
        changes = [Assignment.parse(text) for text in assignments]
        for event_type in map(by_upper.__getitem__, map(str.upper, names or SAMPLES)):
            # A settlement follows a payment, so both are about one order.
            is_own = is_all and event_type not in (PaymentStatusChanged.TYPE, SettlementCompleted.TYPE)
            subject = SampleSubject.new() if is_own else shared
            body = make_body(event_type, subject)
            for change in changes:
                body = change.apply(body)
            chosen = form or keys.form_for(event_type)
            facts = facts_of(event_type, body, payment(subject))
            shipments.append(Shipment(event_type, transmission_id(), chosen, to_bytes(body), facts))
    except ValueError as error:
        raise typer.BadParameter(str(error), param_hint="--set") from None
    return shipments


def _headers(shipment: Shipment, keys: "SigningKeys") -> dict[str, str]:
    from supatoss.cli.sending import delivery_headers

    return delivery_headers(
        shipment.body,
        keys,
        shipment.form,
        delivery_id=shipment.delivery_id,
        retried_count=shipment.retried_count,
    )


async def _send(sender: "Sender", shipment: Shipment, keys: "SigningKeys", *, json: bool) -> "Answer":
    answer = await sender.send(shipment.body, _headers(shipment, keys))
    if json:
        print_json(
            {**_described(shipment), "http_status": answer.status, "answer": answer.content, "problem": answer.problem}
        )
    else:
        typer.echo(f"{shipment.event_type}  {plain(answer)}", err=answer.status is None)
    return answer


def _described(shipment: Shipment) -> dict[str, Any]:
    return {
        "event_type": shipment.event_type,
        "delivery": shipment.delivery_id,
        "retried_count": shipment.retried_count,
        "signed": shipment.form,
    }


def _show(queue: Sequence[Shipment], keys: "SigningKeys", *, json: bool) -> None:
    for shipment in queue:
        headers, body = _headers(shipment, keys), shipment.body.decode()
        if json:
            print_json({**_described(shipment), "headers": headers, "body": body})
        else:
            typer.echo("\n".join([*(f"{name}: {value}" for name, value in headers.items()), "", body, ""]))


def _show_catalogue(*, json: bool) -> None:
    from supatoss.toss.events import TYPES
    from supatoss.toss.samples import FROM_THE_GUIDE, SAMPLES, SIGNED_BY_TOSS

    rows = [
        {
            "event_type": name,
            "sent_by": "guide" if name in FROM_THE_GUIDE else "toss",
            "signed_by_toss": name in SIGNED_BY_TOSS,
            "meaning": _meaning(TYPES[name].__doc__ or ""),
        }
        for name in SAMPLES
    ]
    if json:
        print_json(rows)
    else:
        print_table(
            ("event", "of", "signed", "meaning"),
            [
                (row["event_type"], row["sent_by"], "v1" if row["signed_by_toss"] else None, row["meaning"])
                for row in rows
            ],
        )


def _meaning(docstring: str) -> str:
    meaning = docstring.split("\n", maxsplit=1)[0].removeprefix("Guide only: ")
    return meaning[:1].upper() + meaning[1:]
