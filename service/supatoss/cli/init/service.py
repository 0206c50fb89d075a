"""The deployed service: whether Toss can reach it, and whether it is ready and refuses forgeries."""

import time
from typing import TYPE_CHECKING

import typer

from supatoss.cli.init.address import PUBLIC_URL
from supatoss.cli.init.setup import Setup
from supatoss.cli.init.step import Step, Stopped
from supatoss.cli.output import ExitStatus, plain
from supatoss.cli.session import run_async

if TYPE_CHECKING:
    from supatoss.cli.doctor import Verdict

PATIENCE_SECONDS = 60.0
"""It takes a moment until DNS knows a new app and its machines have started."""


class ServiceStep(Step):
    """Checks the service at its public address, as `supatoss doctor` does."""

    name = "service"

    def run(self, setup: Setup) -> str:
        """Checks, and waits for a service that was just deployed."""
        from supatoss.cli.doctor.checks import READY

        deadline = time.monotonic() + (PATIENCE_SECONDS if setup.has_new_secrets else 0)
        while True:
            verdicts = run_async(_look(setup))
            wrong = [verdict for verdict in verdicts if verdict.level == "failed"]
            if not wrong or time.monotonic() > deadline:
                break
            time.sleep(2)
        if wrong:
            raise Stopped(
                "\n".join(f"{verdict.check}: {verdict.message}" for verdict in wrong),
                "\n".join(filter(None, (verdict.fix for verdict in wrong))),
                ExitStatus.UNREACHABLE
                if any("no answer" in verdict.message for verdict in wrong)
                else ExitStatus.FOUND,
            )
        for verdict in verdicts:
            if verdict.level == "warning":
                typer.echo(f"  ! {plain(verdict.message)}\n    → {plain(verdict.fix or '')}")
        is_ready = next(verdict.message for verdict in verdicts if verdict.check == READY)
        return f"{setup.answer(PUBLIC_URL)} is {is_ready}, and refuses unsigned and wrongly signed deliveries"


async def _look(setup: Setup) -> "list[Verdict]":
    import httpx

    from supatoss.cli.doctor import REQUEST_SECONDS
    from supatoss.cli.doctor.checks import check_endpoint
    from supatoss.tls import tls_context

    async with httpx.AsyncClient(
        verify=tls_context(), trust_env=False, timeout=REQUEST_SECONDS, follow_redirects=False
    ) as http:
        return await check_endpoint(setup.settings(), http)
