"""The worker alone, as a process of its own: `supatoss worker`."""

import os
import signal
import sys
from pathlib import Path

import pytest

from scripts.local_stack import ROOT, Child
from tests.stories.conftest import SUPABASE_KEY, World
from tests.support import SECRET_KEY


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_worker_of_its_own_finds_an_account_whose_due_date_passed(
    world: World, tmp_path: Path, number: signal.Signals
) -> None:
    order = f"overdue-{number.name.lower()}"
    key = world.pay(order, method="가상계좌")
    world.until_status(order, "WAITING_FOR_DEPOSIT")
    world.until_sent()
    world.play(f"payments/{key}/due-date-passed")
    _let_the_due_date_pass(world, order)
    worker = Child(
        "the worker",
        [sys.executable, "-m", "supatoss", "worker"],
        cwd=ROOT,
        env={
            "PATH": os.environ["PATH"],
            "SUPABASE_URL": world.supabase.url,
            "SUPABASE_SECRET_KEY": SUPABASE_KEY,
            "TOSS_API_URL": world.emulator_url,
            "TOSS_SECRET_KEY": SECRET_KEY,
        },
        log=tmp_path / "worker.log",
    )
    try:
        row = world.until_status(order, "EXPIRED")
        assert (row["payment_key"], row["approved_at"]) == (key, None)
        assert "supatoss.account_expired" in {event["event_type"] for event in world.events(order)}
        os.kill(worker.pid, number)
        assert worker.wait(15) == 0
        assert "worker stopped" in (tmp_path / "worker.log").read_text()
    finally:
        worker.stop()


def _let_the_due_date_pass(world: World, order: str) -> None:
    """The emulator's week has not passed here; the stored due date is moved instead, as time would."""
    row = world.rows(f"payments?order_id=eq.{order}&select=virtual_account")[0]
    world.http.patch(
        f"{world.supabase.url}/rest/v1/payments?order_id=eq.{order}",
        headers={"apikey": SUPABASE_KEY},
        json={"virtual_account": {**row["virtual_account"], "dueDate": "2026-01-01T00:00:00+09:00"}},
    ).raise_for_status()
