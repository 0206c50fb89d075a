"""A scenario: how something goes wrong, what the runbook says to do, and how it ends."""

import time
import traceback
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from tests.drill.ending import check_end
from tests.drill.runbook import RUNBOOK, read_sections
from tests.drill.stage import Stage


@dataclass(frozen=True)
class Scenario:
    """section: what it follows. play: from the cause to the end. rules: alerts that may arrive, each once a subject.

    is_quick: a part of `make test`. settings: of the processes, besides those of every stage.
    """

    section: str
    name: str
    play: Callable[[Stage], None]
    rules: Sequence[str] = ()
    settings: Mapping[str, str] = field(default_factory=dict)
    is_quick: bool = False

    def __str__(self) -> str:
        return f"{self.section}: {self.name}"


@dataclass(frozen=True)
class Result:
    """problem: why it did not go as it should; None: it did. tried: the section's commands that were typed.

    messages: what arrived at the target of alerts, in order.
    """

    scenario: Scenario
    seconds: float
    problem: str | None
    tried: frozenset[str]
    messages: Sequence[str]


def perform(stage: Stage, scenario: Scenario) -> Result:
    """Plays it; never raises for what goes wrong in it."""
    started = time.monotonic()
    problem = None
    try:
        section = read_sections(RUNBOOK.read_text(encoding="utf-8"))[scenario.section]
        with stage.performance(section, scenario.settings):
            scenario.play(stage)
            check_end(stage, scenario.rules)
    except Exception as error:  # noqa: BLE001 - the next scenario is played whatever this one did
        where = [frame for frame in traceback.extract_tb(error.__traceback__) if "/drill/" in frame.filename][-1]
        problem = f"{type(error).__name__} in line {where.lineno} of {where.name}: {str(error) or where.line}"
    messages = [f"{message.rule or 'test'} {message.subject} {message.phase}" for message in stage.receiver.messages]
    return Result(scenario, time.monotonic() - started, problem, frozenset(stage.tried), messages)
