"""One fault: the mix is sent while it happens, and all tables are compared with the oracle afterwards."""

import asyncio
import datetime as dt
from collections.abc import Awaitable, Callable, Mapping
from contextlib import ExitStack
from dataclasses import dataclass, field
from functools import partial

from tests.faults.mix import Mix, make_mix
from tests.faults.oracle import expect
from tests.faults.programs import Program, Service
from tests.faults.sender import Sender
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
    workers: list[Program] = field(default_factory=list)
    lost_at_once: list[str] = field(default_factory=list)

    async def check_acknowledged(self) -> None:
        """Right after something died: whatever was answered 200 is stored."""
        acknowledged = list(self.sender.acknowledged)
        self.lost_at_once += await in_thread(missing, self.world.dsn, acknowledged)


Happening = Callable[[Trial], Awaitable[None]]


@dataclass(frozen=True)
class Fault:
    """name: as in the table. happen: what goes wrong while deliveries come; it returns when all is well again.

    services, workers: how many processes. clock: offset of the sender's clock. module: what serves.
    settings: of the service, beside the world's. make: the mix, from a least number of events.
    """

    name: str
    happen: Happening
    services: int = 1
    workers: int = 0
    clock: dt.timedelta = dt.timedelta()
    module: str = "service"
    settings: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Result:
    """One line of the table."""

    name: str
    sent: int
    acknowledged: int
    events: int
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
        return self.verdict.is_clean and not self.forbidden


async def in_thread(work: Callable[..., list[str]], *arguments: object) -> list[str]:
    """What blocks, beside the sender."""
    return await asyncio.to_thread(work, *arguments)


def attempt(world: World, fault: Fault, least_events: int, timeout_seconds: float, mix: Mix | None = None) -> Result:
    """Sends a mix while a fault happens. TimeoutError when a delivery is not acknowledged in time."""
    mix = mix or make_mix(least_events)
    world.clear()
    world.store_orders(mix.stored_amounts)
    settings = world.settings(**{"WORKER": "off", **fault.settings})
    with ExitStack() as stack:
        numbers = range(fault.services)
        services = [stack.enter_context(world.service(settings, f"service-{number}", fault.module)) for number in numbers]
        workers = [stack.enter_context(world.worker(settings, f"worker-{number}")) for number in range(fault.workers)]
        for service in services:
            service.wait_ready()
        sender = Sender([service.port for service in services], mix.events, clock_offset=fault.clock)
        trial = Trial(world, mix, sender, services, workers)
        seconds = asyncio.run(_run(trial, fault, timeout_seconds))
        if fault.workers:
            world.finish_pending()
    verdict = judge(world.dsn, expect(mix), sender.acknowledged)
    verdict.lost[:0] = [f"event {name}, right after its 200" for name in trial.lost_at_once]
    return Result(
        fault.name,
        sender.sent_count,
        sender.acknowledged_count,
        len(mix.events),
        verdict,
        dict(sender.answers),
        sender.slowest_seconds,
        seconds,
    )


async def _run(trial: Trial, fault: Fault, timeout_seconds: float) -> float:
    loop = asyncio.get_running_loop()
    started = loop.time()
    async with asyncio.TaskGroup() as together:
        happening = together.create_task(_happen(trial, fault))
        sending = together.create_task(trial.sender.run(timeout_seconds))
        await sending
        seconds = loop.time() - started
        # A fault that waits for more deliveries than there were is over too.
        done, _ = await asyncio.wait({happening}, timeout=30.0)
        if not done:
            happening.cancel()
    return seconds


async def _happen(trial: Trial, fault: Fault) -> None:
    await fault.happen(trial)


blocking = partial(asyncio.to_thread)
