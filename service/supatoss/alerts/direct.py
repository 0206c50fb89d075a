"""Alerts that a process sends itself while the database is unavailable, and how the table learns of them afterwards."""

import datetime as dt
import uuid
from collections import deque
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any

from supatoss.alerts.local import Opinion
from supatoss.store.alerts import UnsentAlert

MAX_PAST = 100
"""Alerts of one outage that are over and remembered for the table; the oldest are forgotten first."""

Key = tuple[str, str]


@dataclass(slots=True)
class DirectAlert:
    """One alert. started and ended are times of the process's own clock, in seconds."""

    opinion: Opinion
    started: float
    ended: float | None = None
    is_start_sent: bool = False
    is_end_sent: bool = False
    is_cut_short: bool = False
    id: str = field(default_factory=lambda: str(uuid.uuid4()))

    def to_record(self, now: float, read_at: dt.datetime) -> dict[str, Any]:
        """One element of `past` of supatoss_note_alerts_v1, whose times are those of the database's clock."""
        ended = now if self.ended is None else self.ended
        return {
            "id": self.id,
            "rule": self.opinion.rule.value,
            "subject": self.opinion.subject,
            "details": self.opinion.details,
            "started_at": read_at - dt.timedelta(seconds=now - self.started),
            "ended_at": read_at - dt.timedelta(seconds=now - ended),
            "start_told": self.is_start_sent,
            "end_told": self.is_end_sent,
        }


class DirectAlerts:
    """The memory of one process. Alerts that the table knows are sent from there, not from here."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._in_table: set[Key] = set()
        self._open: dict[Key, DirectAlert] = {}
        self._past: deque[DirectAlert] = deque(maxlen=MAX_PAST)

    def note(self, opinions: Iterable[Opinion]) -> tuple[list[DirectAlert], list[DirectAlert]]:
        """One check without the database. Returns what began and what ended with it."""
        violated = {_key(opinion): opinion for opinion in opinions if opinion.details is not None}
        began = [
            DirectAlert(opinion, self._clock())
            for key, opinion in violated.items()
            if key not in self._open and key not in self._in_table
        ]
        ended = [self._open.pop(key) for key in list(self._open) if key not in violated]
        for alert in ended:
            alert.ended = self._clock()
        for alert in began:
            self._open[_key(alert.opinion)] = alert
        self._past.extend(ended)
        return began, ended

    def cut_short(self) -> None:
        """The process stops: its alerts end although nothing was solved."""
        for alert in self._open.values():
            alert.is_cut_short = True

    def unsent(self) -> list[tuple[DirectAlert, UnsentAlert]]:
        """What operators haven't been told yet. An end is only told after its start."""
        waiting = [(alert, "start") for alert in self._open.values() if not alert.is_start_sent]
        waiting += [(alert, "end") for alert in self._past if alert.is_start_sent and not alert.is_end_sent]
        return [(alert, self._describe(alert, phase)) for alert, phase in waiting]

    def is_told(self, rule: str, subject: str) -> bool:
        """Whether operators have been told that this began, and the table does not know it yet."""
        alert = self._open.get((rule, subject))
        return alert is not None and alert.is_start_sent

    def to_past(self, still: Iterable[Opinion], read_at: dt.datetime) -> list[dict[str, Any]]:
        """What is over, for the table; what is still open begins in the table like any other alert."""
        violated = {_key(opinion) for opinion in still if opinion.details is not None}
        over = [*self._past, *(alert for key, alert in self._open.items() if key not in violated)]
        return [alert.to_record(self._clock(), read_at) for alert in over]

    def is_open(self, rule: str, subject: str) -> bool:
        """Whether it began while the database was unavailable."""
        return (rule, subject) in self._open

    def recorded(self, opinions: Iterable[Opinion]) -> None:
        """The table knows everything now."""
        self._in_table = {_key(opinion) for opinion in opinions if opinion.details is not None}
        self._open.clear()
        self._past.clear()

    def count(self, rule: str) -> int:
        """Open ones of a rule that this process sees or has seen."""
        return sum(name == rule for name, _ in self._in_table | self._open.keys())

    def _describe(self, alert: DirectAlert, phase: str) -> UnsentAlert:
        opinion, now = alert.opinion, dt.datetime.now(dt.UTC)
        started = now - dt.timedelta(seconds=self._clock() - alert.started)
        return UnsentAlert(
            id=alert.id,
            token="",
            rule=opinion.rule.value,
            subject=opinion.subject,
            phase=phase,
            started_at=started.isoformat(timespec="seconds"),
            ended_at=now.isoformat(timespec="seconds") if phase == "end" else None,
            attempts=1,
            details={**(opinion.details or {}), **({"stopped": True} if alert.is_cut_short else {})},
        )


def _key(opinion: Opinion) -> Key:
    return opinion.rule.value, opinion.subject
