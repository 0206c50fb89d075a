"""Processes that are killed with SIGKILL in the middle of their work."""

import asyncio

from tests.faults.trial import Fault, Trial

MOMENTS = (0.15, 0.4, 0.65)
"""Shares of all deliveries that are acknowledged when something goes wrong."""

UNANSWERED = 20
"""Deliveries that are answered 503 before what was killed comes back."""

LOOKS = 60
LOOK_SECONDS = 0.05


async def _kill_the_service(trial: Trial) -> None:
    for share in MOMENTS:
        await trial.sender.until_share(share)
        for service in trial.services:
            await asyncio.to_thread(service.kill)
            await trial.check_acknowledged()
            service.start()


async def _kill_postgres(trial: Trial) -> None:
    """The server and all its children; it comes back by crash recovery."""
    for share in MOMENTS[:2]:
        await trial.sender.until_share(share)
        await asyncio.to_thread(trial.world.postgres.kill)
        await trial.sender.until_more(503, UNANSWERED)
        await asyncio.to_thread(trial.world.postgres.start)
        await trial.check_acknowledged()


async def _kill_the_data_api(trial: Trial) -> None:
    """Its supervisor starts it again."""
    for share in MOMENTS:
        await trial.sender.until_share(share)
        trial.world.supervisor.kill()
        await trial.check_acknowledged()


async def _kill_one_of_two(trial: Trial) -> None:
    """Two services and two workers, at first with a Toss that fails and is slow: one of each is killed in its work."""
    assert trial.toss
    trial.toss.fault(60, status=500)
    trial.toss.fault(400, delay_seconds=0.4)
    for turn, share in enumerate(MOMENTS):
        await trial.sender.until_share(share)
        await _until_a_worker_is_at_work(trial)
        for dying in (trial.services[turn % 2], trial.workers[turn % 2]):
            await asyncio.to_thread(dying.kill)
            await trial.check_acknowledged()
            dying.start()
        await asyncio.to_thread(trial.world.expire_leases)
    trial.toss.be_well()


async def _until_a_worker_is_at_work(trial: Trial) -> None:
    """A worker has claimed an event, whose look-up at a slow Toss takes its time; or there is no event left for it."""
    events = "select count(*), count(*) filter (where lease_until > now()) from webhook_events where status = 'pending'"
    for _ in range(LOOKS):
        ((pending, claimed),) = await asyncio.to_thread(trial.world.execute, events)
        if claimed or (not pending and trial.sender.is_over):
            return
        await asyncio.sleep(LOOK_SECONDS)


CRASHES = (
    Fault("service killed with -9", _kill_the_service),
    Fault("PostgreSQL killed with -9", _kill_postgres),
    Fault("Data API killed with -9", _kill_the_data_api),
    Fault("two services and two workers, one of each killed", _kill_one_of_two, services=2, workers=2, asks_toss=True),
)
