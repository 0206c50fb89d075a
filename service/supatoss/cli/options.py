"""Options that several commands share, and how their values are read."""

import datetime as dt
import functools
import getpass
import inspect
import os
import re
import socket
import sys
from collections.abc import Callable, Mapping
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from supatoss.cli.choices import REASONS, STATUSES, TYPES, check, completion
from supatoss.errors import NotAllowed

if TYPE_CHECKING:
    from supatoss.store.events import EventFilter


class Form(StrEnum):
    """Signature formats: the guide's hex with a secret key, Toss's v1 with a security key, or none."""

    HEX = "hex"
    V1 = "v1"
    NONE = "none"


BodyArgument = Annotated[
    Path, typer.Argument(metavar="FILE", help="File with the body, byte for byte; standard input by default.")
]
"""The body of a command: `file: BodyArgument = STDIN`."""

STDIN = Path("-")


def read_bytes(file: Path) -> bytes:
    """The bytes of a file, or of standard input. Raises BadParameter where the file cannot be read."""
    try:
        return sys.stdin.buffer.read() if file == STDIN else file.read_bytes()
    except OSError as error:
        raise typer.BadParameter(f"{file}: {error.strerror}", param_hint="FILE") from None


SEOUL = dt.timezone(dt.timedelta(hours=9), "KST")

_AGO = re.compile(r"([0-9]{1,6})([smhd])")
_UNITS = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days"}


def read_moment(text: str, now: dt.datetime) -> dt.datetime:
    """A time in UTC: `2h` ago, a day, or an ISO 8601 time; without an offset it is Korean. Raises NotAllowed."""
    ago = _AGO.fullmatch(text.strip())
    try:
        if ago:
            return now - dt.timedelta(**{_UNITS[ago[2]]: int(ago[1])})
        moment = dt.datetime.fromisoformat(text.strip())
        return (moment if moment.tzinfo else moment.replace(tzinfo=SEOUL)).astimezone(dt.UTC)
    except (ValueError, OverflowError):
        raise NotAllowed(
            f"{text[:40]!r} is not a time: 30m, 2h, 7d (ago), 2026-03-14 or 2026-03-14T09:00 (KST, or with an offset)"
        ) from None


def show_moment(moment: dt.datetime | None) -> str:
    """Korean time to the second."""
    return "" if moment is None else f"{moment.astimezone(SEOUL):%Y-%m-%d %H:%M:%S}"


Since = Annotated[
    str | None,
    typer.Option("--since", metavar="WHEN", help="Created at or after: 2h (ago), 2026-03-14, …T09:00 (KST)."),
]


def _reasons(*names: str) -> Any:
    return Annotated[
        list[str] | None,
        typer.Option(
            *names, metavar="REASON", autocompletion=completion(REASONS), help="Such as amount_mismatch; repeatable."
        ),
    ]


FILTER: Mapping[str, Any] = {
    "statuses": Annotated[
        list[str] | None,
        typer.Option(
            "--status",
            metavar="STATUS",
            autocompletion=completion(STATUSES),
            help="processed, ignored, pending or failed; repeatable.",
        ),
    ],
    "types": Annotated[
        list[str] | None,
        typer.Option("--type", metavar="TYPE", autocompletion=completion(TYPES), help="Toss's event type; repeatable."),
    ],
    "reasons": _reasons("--with-reason"),
    "order": Annotated[str | None, typer.Option("--order", metavar="ID", help="Order id.")],
    "payment_key": Annotated[str | None, typer.Option("--payment-key", metavar="KEY", help="Toss's payment key.")],
}
REASON: Mapping[str, Any] = {"reasons": _reasons("--reason", "--with-reason")}
"""Where --reason is not why an operator acts."""

PERIOD: Mapping[str, Any] = {
    "since": Since,
    "until": Annotated[str | None, typer.Option("--until", metavar="WHEN", help="Created before.")],
}


def takes_filter(*, has_period: bool) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """Puts the filter's options where a command has its parameter `wanted`, which gets the EventFilter they describe.

    A command without the period (--since and --until) decides for itself when it starts.
    """
    names = (*FILTER, *(PERIOD if has_period else ()))

    def decorate(command: Callable[..., None]) -> Callable[..., None]:
        given = inspect.signature(command).parameters
        options = {**FILTER, **PERIOD, **({} if "reason" in given else REASON)}
        options = {name: options[name] for name in names}

        @functools.wraps(command)
        def filtered(*positional: Any, **named: Any) -> None:
            wanted = make_filter(**{name: named.pop(name) for name in options})
            command(*positional, wanted=wanted, **named)

        parameters: list[inspect.Parameter] = []
        for parameter in given.values():
            if parameter.name == "wanted":
                parameters += (
                    inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, default=None, annotation=option)
                    for name, option in options.items()
                )
            else:
                parameters.append(parameter)
        filtered.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]  # what Typer reads
        filtered.__annotations__ = {parameter.name: parameter.annotation for parameter in parameters}
        return filtered

    return decorate


def make_filter(
    *,
    statuses: list[str] | None,
    types: list[str] | None,
    reasons: list[str] | None,
    order: str | None,
    payment_key: str | None,
    since: str | None = None,
    until: str | None = None,
) -> "EventFilter":
    """The filter that the options describe. Raises NotAllowed."""
    from supatoss.store.events import EventFilter

    now = dt.datetime.now(dt.UTC)
    first, end = read_moment(since, now) if since else None, read_moment(until, now) if until else None
    if first and end and first >= end:
        raise NotAllowed(
            f"--since {since} ({show_moment(first)} KST) should be before --until {until} ({show_moment(end)} KST)"
        )
    return EventFilter(
        statuses=check("--status", statuses, STATUSES),
        types=check("--type", types, TYPES),
        reasons=check("--with-reason", reasons, REASONS),
        order_id=check_text("--order", order),
        payment_key=check_text("--payment-key", payment_key),
        created_from=first,
        created_until=end,
    )


def check_text(option: str, text: str | None) -> str | None:
    """What a filter compares with. Raises NotAllowed for what nothing stored can be."""
    if text is not None and (not text.strip() or "\x00" in text):
        raise NotAllowed(f"{option} is empty" if not text.strip() else f"{option} holds a NUL character")
    return text


Apply = Annotated[bool, typer.Option("--apply", "--yes", help="Do it; without this, only show what would happen.")]
Actor = Annotated[
    str | None, typer.Option("--actor", metavar="NAME", help="Your name for the audit trail; user@machine by default.")
]


def default_actor() -> str:
    """The user and the machine: user@machine."""
    try:
        user = getpass.getuser()
    except (KeyError, OSError):  # a container's user may have no name
        user = f"uid-{os.getuid()}"
    return f"{user}@{socket.gethostname()}"
