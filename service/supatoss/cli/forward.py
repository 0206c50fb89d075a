"""`supatoss forward`: posts stored deliveries to a local URL, without a tunnel."""

import asyncio
import datetime as dt
from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated

import typer

from supatoss.cli.options import Form, Since, takes_filter
from supatoss.cli.output import ExitStatus, JsonOption, plain, print_json
from supatoss.cli.signatures import KeyOption

if TYPE_CHECKING:
    from supatoss.cli.sending import Answer, Sender, SigningKeys
    from supatoss.settings import Settings
    from supatoss.store import Store
    from supatoss.store.events import EventFilter, StoredEvent

RETRY_SECONDS = 1.0
"""Between two tries with --follow, while the local service is down."""


@takes_filter(has_period=False)
def forward(
    *,
    to: Annotated[str, typer.Option("--to", metavar="URL", help="The local webhook.")],
    since: Since = None,
    is_followed: Annotated[bool, typer.Option("--follow", help="Keep forwarding new ones until Ctrl-C.")] = False,
    wanted: "EventFilter",
    signed: Annotated[Form | None, typer.Option("--signed", help="Form of the signature.")] = None,
    key_env: KeyOption = None,
    json: JsonOption = False,
) -> None:
    """Post stored deliveries to a local URL.

    Oldest first, signed again with the local key.

    Example: supatoss forward --to http://127.0.0.1:3000/api/toss --since 1h
    """
    from supatoss.cli.options import read_moment
    from supatoss.cli.sending import SigningKeys, check_target
    from supatoss.cli.session import run_session

    if since is None and not is_followed:
        raise typer.BadParameter(
            "choose --since 1h for stored deliveries, --follow for new ones, or both", param_hint="--since"
        )
    now = dt.datetime.now(dt.UTC)
    start = read_moment(since, now) if since else now
    url = check_target("--to", to)
    keys = SigningKeys.read(key_env)
    keys.check(signed or Form.HEX)

    async def work(_settings: "Settings", store: "Store") -> ExitStatus:
        from supatoss.cli.sending import open_sender

        async with open_sender(url) as sender:
            run = _Run(sender, keys, signed, is_followed=is_followed, is_json=json)
            return await run.forward(store, wanted, start)

    raise typer.Exit(run_session(work))


@dataclass(slots=True)
class _Run:
    """One run of the command."""

    sender: "Sender"
    keys: "SigningKeys"
    form: Form | None
    is_followed: bool
    is_json: bool

    async def forward(self, store: "Store", wanted: "EventFilter", start: dt.datetime) -> ExitStatus:
        """Forwards the events one by one, in order of arrival."""
        from supatoss.inbox.follow import follow

        counts: Counter[str] = Counter()
        async for event in follow(store, wanted, start, with_payload=True, is_endless=self.is_followed):
            problem = _problem(event)
            if problem:
                counts["skipped"] += 1
                self._show(event, None, problem)
                continue
            answer = await self._deliver(event)
            self._show(event, answer, None)
            if answer.status is None:
                hint = f"to resume: --since {event.created_at.isoformat()}"
                typer.echo(f"supatoss: {plain(answer)}; {hint}", err=True)
                return ExitStatus.UNREACHABLE
            counts["delivered" if answer.exit_status is ExitStatus.OK else "refused"] += 1
        if not self.is_json:
            named = ", ".join(f"{counts[name]} {name}" for name in ("delivered", "refused", "skipped") if counts[name])
            typer.echo(named or "no events match")
        return ExitStatus.FOUND if counts["refused"] else ExitStatus.OK

    async def _deliver(self, event: "StoredEvent") -> "Answer":
        """Posts one event; with --follow, until something answers."""
        from supatoss.cli.sending import delivery_headers

        body = (event.payload or "").encode()
        form = self.form or self.keys.form_for(event.event_type)
        is_announced = False
        while True:
            answer = await self.sender.send(body, delivery_headers(body, self.keys, form))
            if answer.status is not None or not self.is_followed:
                return answer
            if not is_announced:
                typer.echo(f"supatoss: {plain(answer)}; waiting", err=True)
                is_announced = True
            await asyncio.sleep(RETRY_SECONDS)

    def _show(self, event: "StoredEvent", answer: "Answer | None", problem: str | None) -> None:
        if self.is_json:
            print_json(
                {
                    "event": event.id,
                    "event_type": event.event_type,
                    "created_at": event.created_at.isoformat(),
                    "http_status": answer.status if answer else None,
                    "answer": answer.content if answer else None,
                    "problem": problem or (answer.problem if answer else None),
                }
            )
        elif problem or (answer and answer.status is not None):
            typer.echo(f"{event.id}  {plain(event.event_type)}  {problem or plain(answer)}")


def _problem(event: "StoredEvent") -> str | None:
    """Why an event cannot be sent again, if so."""
    from supatoss.inbox.replay import EMPTY_PAYLOADS

    if event.event_type.startswith("supatoss."):
        return "skipped: our own event, not a delivery"
    if event.payload in EMPTY_PAYLOADS:
        return "skipped: retention has removed its payload"
    return None
