"""One fault: the mix is sent while it happens, and all tables are compared with the oracle afterwards."""

import asyncio
import datetime as dt
from collections.abc import Callable, Coroutine, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from typing import Any

from tests.faults.mix import Mix, make_mix
from tests.faults.oracle import expect
from tests.faults.programs import SERVE, Program, Service
from tests.faults.sender import Sender
from tests.faults.toss import Toss, running_toss
from tests.faults.verdict import Verdict, judge, missing
from tests.faults.world import World

FORBIDDEN = (400, 401, 413, 500)
"""Answers that no delivery of a mix may ever get."""


@dataclass
class Trial:
    """What a fault can lay hands on while deliveries come."""

    world: World
    mix: Mix
    sender: Sender
    services: list[Service]
    workers: list[Program]
    toss: Toss | None
    lost_at_once: list[str] = field(default_factory=list)

    async def check_acknowledged(self) -> None:
        """Right after something died: whatever was answered 200 is stored."""
        stored_as = {sent.name: sent.stored_as for sent in self.mix.events}
        acknowledged = {stored_as[name] for name in self.sender.acknowledged}
        self.lost_at_once += await asyncio.to_thread(missing, self.world.dsn, acknowledged)


@dataclass(frozen=True)
class Fault:
    """name: as in the table. happen: what goes wrong while deliveries come; it returns when all is well again.

    services, workers: how many processes; command: what serves, after `python -m`; each: further settings of one
    service after the other. clock: offset of the sender's clock. asks_toss: the mix is unsigned, so that only Toss can
    vouch for it. ready: what each service answers before the first delivery.
    """

    name: str
    happen: Callable[[Trial], Coroutine[Any, Any, None]]
    services: int = 1
    workers: int = 0
    clock: dt.timedelta = dt.timedelta()
    command: Sequence[str] = SERVE
    each: Sequence[Mapping[str, str]] = ()
    asks_toss: bool = False
    ready: str = "/readyz"


@dataclass(frozen=True)
class Result:
    """One line of the table. sent: deliveries with their re-sends; seconds: until all was acknowledged."""

    name: str
    events: int
    deliveries: int
    sent: int
    acknowledged: int
    verdict: Verdict
    answers: Mapping[int | str, int]
    slowest_seconds: float
    seconds: float

    @property
    def forbidden(self) -> dict[int | str, int]:
        """Answers that should never have come."""
        return {status: count for status, count in self.answers.items() if status in FORBIDDEN}

    @property
    def is_clean(self) -> bool:
        return self.verdict.is_clean and not self.forbidden and self.acknowledged == self.deliveries


def attempt(world: World, fault: Fault, least_events: int, timeout_seconds: float) -> Result:
    """Sends a mix while a fault happens, and compares the tables with the oracle; never raises for what it finds."""
    world.clear()
    with ExitStack() as stack:
        toss = stack.enter_context(running_toss(world.folder)) if fault.asks_toss else None
        mix = toss.mix(least_events) if toss else make_mix(least_events)
        world.store_orders(mix.stored_amounts)
        settings = world.settings(toss.url if toss else None)
        services = [
            stack.enter_context(world.service({**settings, **more}, f"service-{number}", fault.command))
            for number, more in zip(range(fault.services), [*fault.each, {}, {}], strict=False)
        ]
        workers = [stack.enter_context(world.worker(settings, f"worker-{number}")) for number in range(fault.workers)]
        for service in services:
            service.wait_ready(fault.ready)
        sender = Sender([service.port for service in services], mix.events, clock_offset=fault.clock)
        trial = Trial(world, mix, sender, services, workers, toss)
        seconds = asyncio.run(_run(trial, fault, timeout_seconds))
        if workers:
            world.finish_pending()
    verdict = judge(world.dsn, expect(mix), sender.acknowledged)
    verdict.lost[:0] = [f"event {name}, right after its 200" for name in trial.lost_at_once]
    return Result(
        fault.name,
        len(mix.events),
        sender.total,
        sender.sent_count,
        sender.acknowledged_count,
        verdict,
        dict(sender.answers),
        sender.slowest_seconds,
        seconds,
    )


async def _run(trial: Trial, fault: Fault, timeout_seconds: float) -> float:
    """Seconds until everything was acknowledged."""
    started = asyncio.get_running_loop().time()
    async with asyncio.TaskGroup() as both:
        both.create_task(fault.happen(trial))
        await both.create_task(trial.sender.run(timeout_seconds))
        return asyncio.get_running_loop().time() - started
