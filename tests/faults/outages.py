"""Parts that live and do not do what they should: network, database, Toss, clocks."""

import asyncio
import datetime as dt

import httpx
import psycopg

from tests.faults.crashes import MOMENTS, UNANSWERED
from tests.faults.proxy import Mode
from tests.faults.trial import Fault, Trial

LOST_ANSWERS = 6
SKEW = dt.timedelta(hours=5)

_TRIGGER = """
    create or replace function public.fault() returns trigger language plpgsql as $$ begin {what}; return null; end $$;
    create trigger fault before insert or update on public.webhook_events for each statement execute function fault();
"""
_NO_SPACE = "raise exception 'could not extend file: No space left on device' using errcode = '53100'"
DISK_FULL = _TRIGGER.format(what=_NO_SPACE)
NO_TRIGGER = "drop trigger if exists fault on public.webhook_events"


async def _lose_answers(trial: Trial) -> None:
    """The database has committed; the connection is reset before its answer arrives."""
    proxy = trial.world.data_api
    for share, every in zip(MOMENTS, (3, 2, 1), strict=True):
        await trial.sender.until_share(share)
        proxy.lose_every, proxy.mode = every, Mode.LOSE_ANSWERS
        goal = proxy.lost + LOST_ANSWERS
        await trial.sender.until(lambda goal=goal: proxy.lost >= goal)  # type: ignore[misc]
        proxy.mode = Mode.PASS


async def _cut_connections(trial: Trial) -> None:
    proxy = trial.world.data_api
    for share, mode in zip(MOMENTS, (Mode.PASS, Mode.REFUSE, Mode.SWALLOW), strict=True):
        await trial.sender.until_share(share)
        proxy.mode = mode
        proxy.cut()
        if mode is not Mode.PASS:
            await trial.sender.until_more(503, UNANSWERED)
        proxy.mode = Mode.PASS
        proxy.cut()


async def _slow_database(trial: Trial) -> None:
    """The table is locked for longer than a call may take; then every statement sleeps; then every answer is late."""
    await trial.sender.until_share(MOMENTS[0])
    async with await psycopg.AsyncConnection.connect(trial.world.dsn) as connection:
        await connection.execute("lock table public.webhook_events in access exclusive mode")
        await trial.sender.until_more(503, UNANSWERED)
    await trial.sender.until_share(MOMENTS[1])
    await asyncio.to_thread(trial.world.execute, _TRIGGER.format(what="perform pg_sleep(0.2)"))
    await trial.sender.until_more(200, UNANSWERED)
    await asyncio.to_thread(trial.world.execute, NO_TRIGGER)
    await trial.sender.until_share(MOMENTS[2])
    trial.world.data_api.delay_seconds = 0.3
    await trial.sender.until_more(200, UNANSWERED)
    trial.world.data_api.delay_seconds = 0.0


async def _disk_full(trial: Trial) -> None:
    for share in MOMENTS[:2]:
        await trial.sender.until_share(share)
        await asyncio.to_thread(trial.world.execute, DISK_FULL)
        await trial.sender.until_more(503, UNANSWERED)
        await asyncio.to_thread(trial.world.execute, NO_TRIGGER)


async def _toss_fails(trial: Trial) -> None:
    """500, 429, something that is not JSON, no answer at all, and one that comes too late."""
    assert trial.toss
    for share, what in (
        (0.0, {"status": 500}),
        (0.1, {"status": 429, "retry_after_seconds": 0.2}),
        (0.3, {"garbage": True}),
        (0.5, {"drop": True}),
        (0.7, {"delay_seconds": 3.0}),
    ):
        await trial.sender.until_share(share)
        await asyncio.to_thread(trial.toss.fault, 25, **what)
    await trial.sender.until_share(0.8)
    await asyncio.to_thread(trial.toss.be_well)


async def _clocks_are_wrong(trial: Trial) -> None:
    """Shown by what the services say of the time; nothing else has to happen."""
    for service, sign in zip(trial.services, (1, -1), strict=True):
        async with httpx.AsyncClient(trust_env=False) as http:
            says = (await http.get(f"{service.url}/healthz")).headers["date"]
        shown = dt.datetime.strptime(says, "%a, %d %b %Y %H:%M:%S GMT").replace(tzinfo=dt.UTC)
        assert abs(shown - sign * SKEW - dt.datetime.now(dt.UTC)) < dt.timedelta(minutes=1)


OUTAGES = (
    Fault("answer lost after the write", _lose_answers),
    Fault("connections cut, refused, swallowed", _cut_connections),
    Fault("database slow: lock, pg_sleep, network", _slow_database),
    Fault("disk full (SQLSTATE 53100)", _disk_full),
    Fault("Toss answers 500, 429, garbage, nothing", _toss_fails, workers=1, asks_toss=True),
    Fault(
        "two services whose clocks are 5 h off, and Toss's a day",
        _clocks_are_wrong,
        services=2,
        clock=dt.timedelta(days=-1),
        command=("tests.faults.skewed",),
        each=(
            {"FAULT_CLOCK_SECONDS": str(SKEW.total_seconds())},
            {"FAULT_CLOCK_SECONDS": str(-SKEW.total_seconds())},
        ),
    ),
)
