"""The log for people: one aligned line for each delivery, coloured by its outcome.

`03:06:52  PAYMENT_STATUS_CHANGED  order-1  ₩9,900  DONE → 200 processed  36 ms`
"""

import datetime as dt
import logging
import os
import sys
from collections.abc import Iterator, Mapping, MutableMapping
from typing import Any

from rich.cells import cell_len

from supatoss.readable import money, plain

SEOUL = dt.timezone(dt.timedelta(hours=9), "KST")

DIM, RED, GREEN, YELLOW = "2", "31", "32", "33"
_COLOURS = {"processed": GREEN, "pending": YELLOW, "failed": RED, "rejected": RED, "error": RED, "warning": YELLOW}

WIDEST = 32
"""Columns grow with their widest value so far, up to this many cells."""

_WIDTHS = {"type": 23, "order": 12, "amount": 8, "status": 4}


def is_for_people() -> bool:
    """Whether standard output is a terminal: LOG_FORMAT=auto writes for people there, and JSON everywhere else."""
    return sys.stdout.isatty()


def may_colour() -> bool:
    """Whether standard output shows colours: https://no-color.org."""
    return sys.stdout.isatty() and not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb"


def is_worth_reading(record: logging.LogRecord) -> bool:
    """Hides uvicorn's messages about its own start and stop, but not its address or any problem."""
    return record.levelno > logging.INFO or not record.name.startswith("uvicorn") or "running on" in record.getMessage()


class Lines:
    """Renders structlog's events."""

    def __init__(self, *, in_colour: bool) -> None:
        self._in_colour = in_colour
        self._widths = dict(_WIDTHS)

    def __call__(self, _logger: Any, _method: str, event: MutableMapping[str, Any]) -> str:
        """One event as a line; a traceback follows on lines of its own."""
        exception = event.pop("exception", None)
        level = event.pop("level", "info")
        time = self._coloured(_time(event.pop("timestamp", None)), DIM)
        match event.pop("event", ""):
            case "delivery":
                line = self._delivery(event)
            case "attempt finished":
                line = self._attempt(event)
            case said:
                line = self._said(plain(said), level, event)
        return f"{time}  {line}" + (f"\n{exception}" if exception else "")

    def line(self, about: Mapping[str, Any], answer: str, tone: str, milliseconds: float) -> str:
        """A delivery sent just now: what it is about, and its answer. tone: an event's status, for the colour."""
        time = self._coloured(_time(None), DIM)
        return f"{time}  {self._answered({**about, 'milliseconds': milliseconds}, answer, tone)}"

    def _delivery(self, event: MutableMapping[str, Any]) -> str:
        outcome = str(event.get("outcome"))
        word = outcome if outcome in ("rejected", "failed", "probe") else str(event.get("event_status") or outcome)
        reason = event.get("event_reason") or event.get("reason")
        shown = "duplicate" if outcome == "duplicate" and word == "processed" else word
        answer = f"{event.get('http_status')} {shown}" + (f": {plain(reason)}" if reason else "")
        tone = "duplicate" if outcome == "duplicate" and word != "failed" else word
        return self._answered(event, answer, tone)

    def _answered(self, event: Mapping[str, Any], answer: str, tone: str) -> str:
        coloured = self._coloured(answer, _COLOURS.get(tone, DIM))
        return f"{self._about(event)} → {coloured}  {_milliseconds(event.get('milliseconds'))}"

    def _attempt(self, event: MutableMapping[str, Any]) -> str:
        word = str(event.get("status") or event.get("outcome"))
        detail = event.get("error") or event.get("reason")
        attempts = event.get("attempts")
        said = f"{word} after {attempts} attempt{'' if attempts == 1 else 's'}" + (
            f": {plain(detail)}" if detail else ""
        )
        return f"{self._about(event)} → worker: {self._coloured(said, _COLOURS.get(word, DIM))}"

    def _about(self, event: Mapping[str, Any]) -> str:
        """What a delivery is about, in columns."""
        amount = event.get("amount")
        cells = (
            ("type", event.get("event_type") or "?"),
            ("order", event.get("order_id") or ""),
            ("amount", "" if amount is None else money(amount, event.get("currency"))),
            ("status", event.get("payment_status") or ""),
        )
        return "  ".join(self._cell(name, plain(text)) for name, text in cells)

    def _cell(self, name: str, text: str) -> str:
        width = self._widths[name] = min(max(self._widths[name], cell_len(text)), WIDEST)
        space = " " * max(width - cell_len(text), 0)
        return f"{space}{text}" if name == "amount" else f"{text}{space}"

    def _said(self, said: str, level: str, event: MutableMapping[str, Any]) -> str:
        details = " ".join(_details(event))
        line = self._coloured(said, _COLOURS[level]) if level in _COLOURS else said
        return f"{line}  {self._coloured(details, DIM)}" if details else line

    def _coloured(self, text: str, colour: str) -> str:
        return f"\x1b[{colour}m{text}\x1b[0m" if self._in_colour else text


def _time(timestamp: object) -> str:
    """The time in Korea."""
    try:
        return f"{dt.datetime.fromisoformat(str(timestamp)).astimezone(SEOUL):%H:%M:%S}"
    except ValueError:
        return f"{dt.datetime.now(SEOUL):%H:%M:%S}"


def _milliseconds(value: object) -> str:
    return f"{value:.0f} ms" if isinstance(value, int | float) else ""


def _details(event: MutableMapping[str, Any]) -> Iterator[str]:
    for name, value in event.items():
        if value is not None and not name.startswith("_"):
            text = plain(value)
            yield f"{name}={text!r}" if " " in text else f"{name}={text}"
