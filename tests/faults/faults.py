"""The faults, each as what happens while deliveries come."""

import asyncio

from tests.faults.proxy import Mode
from tests.faults.trial import Fault, Trial

MOMENTS = (0.15, 0.4, 0.65)
"""Shares of all deliveries that are acknowledged when something goes wrong."""


async def nothing(_trial: Trial) -> None:
    """The measure of all others."""


async def kill_the_service(trial: Trial) -> None:
    """SIGKILL in the middle of its work, and a new process."""
    for share in MOMENTS:
        await trial.sender.until_share(share)
        for service in trial.services:
            await asyncio.to_thread(service.kill)
            await trial.check_acknowledged()
            service.start()


async def kill_postgres(trial: Trial) -> None:
    """kill -9 of the server and all its children; it comes back by crash recovery."""
    for share in MOMENTS[:2]:
        await trial.sender.until_share(share)
        await asyncio.to_thread(trial.world.postgres.kill)
        await trial.sender.until_more(503, 20)
        await asyncio.to_thread(trial.world.postgres.start)
        await trial.check_acknowledged()


async def kill_the_data_api(trial: Trial) -> None:
    """SIGKILL of the Data API; its supervisor starts it again."""
    for share in MOMENTS:
        await trial.sender.until_share(share)
        trial.world.supervisor.kill()
        await trial.check_acknowledged()


async def lose_answers(trial: Trial) -> None:
    """The database has committed; the connection is reset before its answer arrives."""
    proxy = trial.world.data_api
    for every in (2, 3, 1):
        await trial.sender.until_share(MOMENTS[(2, 3, 1).index(every)])
        proxy.lose_every, proxy.mode = every, Mode.LOSE_ANSWERS
        goal = proxy.lost + 6
        while proxy.lost < goal and trial.sender.acknowledged_count < trial.sender.total:
            await trial.sender.until_more(200, 1) if every > 1 else await trial.sender.until_more(503, 1)
        proxy.mode = Mode.PASS


async def cut_connections(trial: Trial) -> None:
    """Connections to the Data API are reset, then refused, then swallow what is sent."""
    proxy = trial.world.data_api
    for share, mode in zip(MOMENTS, (Mode.PASS, Mode.REFUSE, Mode.SWALLOW), strict=True):
        await trial.sender.until_share(share)
        proxy.mode = mode
        proxy.cut()
        if mode is not Mode.PASS:
            await trial.sender.until_more(503, 20)
        proxy.mode = Mode.PASS
        proxy.cut()


FAULTS = (
    Fault("none", nothing),
    Fault("service killed with -9", kill_the_service),
    Fault("PostgreSQL killed with -9", kill_postgres),
    Fault("Data API killed with -9", kill_the_data_api),
    Fault("answer of the database lost", lose_answers),
    Fault("connections cut, refused, swallowed", cut_connections),
)
