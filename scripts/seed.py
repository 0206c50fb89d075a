"""Fill the local stack with a realistic week, so that every page and chart has something to show.

    .venv/bin/python scripts/seed.py --days 7

It sends real deliveries to the running service, signed with its keys, for payments that the Toss emulator knows: orders
spread over a Korean day, duplicates, refunds, virtual accounts, subscriptions, settlements, payouts, every kind of
failure and refused deliveries. A reconciliation then finds the lost webhooks. A day depends only on its date and on
--seed, so a second run adds only what is new.
"""

import argparse
import asyncio
import datetime as dt
import os
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from urllib.parse import urlsplit

import httpx
from rich.console import Console
from rich.progress import Progress

if __package__ in (None, ""):  # run as a file: make the checkout importable
    sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from scripts.local.credentials import read_project
from scripts.seeding.delivering import Delivering, Failed, Stack, all_webhooks
from scripts.seeding.orders import SEOUL
from scripts.seeding.week import days
from supatoss.errors import ConfigurationError
from supatoss.urls import is_loopback

MAX_DAYS = 60
TIMEOUT_SECONDS = 30.0
RECONCILED_DAYS = 2
"""With more days there are so many open orders that their look-ups have to pause."""

RECONCILE_SECONDS = 60.0


def main(arguments: Sequence[str] | None = None) -> int:
    """Exit status: 0 success, 1 a part of the stack failed, 2 wrong arguments or settings, 130 Ctrl-C."""
    options = _parse(arguments)
    errors = Console(stderr=True, soft_wrap=True, highlight=False, markup=False)
    started = time.monotonic()
    try:
        told = asyncio.run(_seed(_stack(os.environ), options.days, options.seed))
    except ConfigurationError as error:
        for problem in error.problems:
            errors.print(problem, style="red")
        return 2
    except Failed as failure:
        errors.print(str(failure), style="red")
        return 1
    except KeyboardInterrupt:
        errors.print("Stopped. Recorded events stay; run the same command to resume.")
        return 130
    print(f"{told} ({time.monotonic() - started:.0f} s)")
    return 0


def _parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="seed.py", description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--days", type=_days, default=7, metavar="N", help="how many days back to fill (default 7)")
    parser.add_argument(
        "--seed", type=int, default=1, metavar="N", help="the same seed gives the same days (default 1)"
    )
    return parser.parse_args(arguments)


def _days(text: str) -> int:
    number = int(text) if text.isdecimal() else 0
    if not 1 <= number <= MAX_DAYS:
        raise argparse.ArgumentTypeError(f"{text!r} should be a number from 1 to {MAX_DAYS}")
    return number


def _stack(environment: Mapping[str, str]) -> Stack:
    """The running stack. Raises ConfigurationError: made-up payments belong on this machine only."""
    url, key, host = read_project()
    if host is not None:
        raise ConfigurationError([f"SUPABASE_URL is {host}: sample data is only for `make run` on this machine"])
    names = ("WEBHOOK_URL", "TOSS_API_URL", "TOSS_SECRET_KEY", "TOSS_SECURITY_KEY")
    missing = [f"{name} is missing. `make run` writes it: . .local/env" for name in names if not environment.get(name)]
    if missing:
        raise ConfigurationError(missing)
    webhook, toss, secret, security = (environment[name] for name in names)
    if not is_loopback(urlsplit(toss).hostname or ""):
        raise ConfigurationError([f"TOSS_API_URL is {toss}: sample data needs the Toss emulator of `make run`"])
    return Stack(url, key, webhook, toss, secret.split(",")[0], security.split(",")[0])


async def _seed(stack: Stack, count: int, seed: int) -> str:
    now = dt.datetime.now(SEOUL)
    first = now.date() - dt.timedelta(days=count)
    week = list(days(first, now, seed))
    webhooks = all_webhooks(week)
    async with httpx.AsyncClient(trust_env=False, timeout=TIMEOUT_SECONDS) as http:
        delivering = Delivering(stack, http)
        console = Console(stderr=True)
        with Progress(console=console, transient=True, disable=not console.is_terminal) as progress:
            await delivering.tell_toss(week)
            await delivering.store_orders(week)
            task = progress.add_task("Delivering", total=len(webhooks))
            await delivering.deliver(webhooks, lambda: progress.advance(task))
            progress.update(task, description="Backdating")
            await delivering.backdate()
            progress.update(task, description="Reconciling")
            if delivering.outcomes["processed"]:
                _reconcile(stack, max(first, now.date() - dt.timedelta(days=RECONCILED_DAYS)), now.date())
    outcomes = ", ".join(f"{number} {outcome}" for outcome, number in sorted(delivering.outcomes.items()))
    return f"{count} days, from {first} until now: {outcomes}"


def _reconcile(stack: Stack, first: dt.date, last: dt.date) -> None:
    """Runs that find the lost webhooks and change nothing: payments, then settlements."""
    environment = {
        **os.environ,
        "SUPABASE_URL": stack.supabase_url,
        "SUPABASE_SECRET_KEY": stack.secret_key,
        "TOSS_API_URL": stack.emulator_url,
        "TOSS_SECRET_KEY": stack.toss_secret_key,
    }
    for more in ((), ("--settlements",)):
        command = [sys.executable, "-m", "supatoss", "reconcile", "--from", f"{first}", "--to", f"{last}", *more]
        try:
            done = subprocess.run(
                command, env=environment, capture_output=True, text=True, timeout=RECONCILE_SECONDS, check=False
            )
        except subprocess.TimeoutExpired:
            raise Failed("the sample week is stored, but `supatoss reconcile` took too long; run it yourself") from None
        if done.returncode not in (0, 1):  # 1: differences were found, which is the point
            raise Failed(f"supatoss reconcile failed: {done.stderr[-500:]}")


if __name__ == "__main__":
    sys.exit(main())
