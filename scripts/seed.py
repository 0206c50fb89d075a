"""Fills a Supabase project with test data, through the same code path as webhooks.

    python scripts/seed.py --payments 200 --subscriptions 40 --seed 1

SUPABASE_URL and SUPABASE_SECRET_KEY come from the environment (`make run` writes them to .local/env). The same seed
creates the same events, so a second run changes nothing.
"""

import argparse
import asyncio
import datetime as dt
import json
import sys
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.progress import Progress

if __package__ in (None, ""):  # run as a file: make the checkout importable
    sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from scripts.local.credentials import read_project
from scripts.seed_orders import payment_histories, subscription_histories
from supatoss.errors import ConfigurationError, StoreError
from supatoss.inbox.event import NewEvent, Proof
from supatoss.inbox.interpret import interpret
from supatoss.store import Store
from supatoss.store.recording import RecordedEvent
from supatoss.toss.delivery import read_body
from supatoss.toss.events import parse_event

BATCH = 50
"""Events in one call: large enough to be fast, small enough for PostgREST's limits."""

TIMEOUT_SECONDS = 30.0
"""For one call; a seed may wait longer than a webhook."""

MAX_HISTORIES = 1_000_000


def main(arguments: Sequence[str] | None = None) -> int:
    """Exit status: 0 success, 1 the Data API failed, 2 wrong arguments or settings, 130 Ctrl-C."""
    options = _parse(arguments)
    errors = Console(stderr=True, soft_wrap=True)
    try:
        url, key = _target(options.allow_remote)
    except ConfigurationError as error:
        for problem in error.problems:
            errors.print(problem, style="red", highlight=False, markup=False)
        return 2
    try:
        outcomes = asyncio.run(_seed(url, key, options))
    except StoreError as error:
        errors.print(f"The Data API at {url} failed: {error}", style="red", highlight=False, markup=False)
        return 1
    except KeyboardInterrupt:
        errors.print("Stopped. Recorded events stay; run the same command to resume.")
        return 130
    created = sum(count for (outcome, _), count in outcomes.items() if outcome == "created")
    by_status = ", ".join(f"{count} {status}" for status, count in sorted(_by_status(outcomes).items()))
    Console(soft_wrap=True).print(
        f"{sum(outcomes.values())} events: {created} created, {sum(outcomes.values()) - created} existed already"
        + (f" ({by_status})" if by_status else ""),
        highlight=False,
    )
    return 0


def _parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="seed.py", description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--payments", type=_count, default=200, metavar="N", help="orders to create (default 200)")
    parser.add_argument(
        "--subscriptions", type=_count, default=40, metavar="N", help="customers with a billing key (default 40)"
    )
    parser.add_argument(
        "--seed", type=int, default=1, metavar="N", help="the same seed creates the same data (default 1)"
    )
    parser.add_argument(
        "--allow-remote",
        metavar="HOST",
        help="host of SUPABASE_URL, to confirm seeding a project that is not on this machine",
    )
    return parser.parse_args(arguments)


def _count(text: str) -> int:
    number = int(text) if text.isdecimal() else -1
    if not 0 <= number <= MAX_HISTORIES:
        raise argparse.ArgumentTypeError(f"{text!r} should be a number from 0 to {MAX_HISTORIES}")
    return number


def _target(allowed_host: str | None) -> tuple[str, str]:
    """Address and key of the project. Raises ConfigurationError; a remote project must be named."""
    url, key, host = read_project()
    if host is not None and host != allowed_host:
        raise ConfigurationError(
            [f"SUPABASE_URL is {host}, which is not this machine. To put test data there: --allow-remote {host}"]
        )
    return url, key


async def _seed(url: str, key: str, options: argparse.Namespace) -> Counter[tuple[str, str]]:
    store = Store.open(url, key, TIMEOUT_SECONDS)
    outcomes: Counter[tuple[str, str]] = Counter()
    total = options.payments + options.subscriptions
    try:
        with Progress(console=Console(stderr=True), transient=True) as progress:
            task = progress.add_task("Seeding", total=total)
            for histories, events in _batches(options):
                for recorded in await _record(store, events):
                    outcomes[recorded.outcome, recorded.status] += 1
                progress.advance(task, histories)
    finally:
        await store.close()
    return outcomes


def _batches(options: argparse.Namespace) -> Iterator[tuple[int, list[dict[str, Any]]]]:
    """Whole histories, gathered until a batch is full: their number and their events."""
    histories, events = 0, []
    for history in (
        *payment_histories(options.payments, options.seed),
        *subscription_histories(options.subscriptions, options.seed),
    ):
        histories += 1
        events += history
        if len(events) >= BATCH:
            yield histories, events
            histories, events = 0, []
    if events:
        yield histories, events


async def _record(store: Store, bodies: Sequence[dict[str, Any]]) -> list[RecordedEvent]:
    return await store.record_webhook_events([_event(body).to_record() for body in bodies])


def _event(body: dict[str, Any]) -> NewEvent:
    read = read_body(json.dumps(body, ensure_ascii=False).encode())
    event = parse_event(read.fields)
    return NewEvent(event, read, interpret(event), Proof.OPERATOR, dt.datetime.now(dt.UTC))


def _by_status(outcomes: Counter[tuple[str, str]]) -> Counter[str]:
    statuses: Counter[str] = Counter()
    for (_, status), count in outcomes.items():
        statuses[status] += count
    return statuses


if __name__ == "__main__":
    sys.exit(main())
