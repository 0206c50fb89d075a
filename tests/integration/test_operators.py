"""What operators do and hear of, through the real Data API: find, replay, ignore, alerts."""

import asyncio
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import TypeVar

from scripts.local_stack import LOOPBACK, free_port
from supatoss.alerts.rules import Limits
from supatoss.alerts.targets import JsonTarget, Post
from supatoss.alerts.watch import Watch
from supatoss.inbox.actions import ignore, select
from supatoss.inbox.replay import replay
from supatoss.store import Store
from supatoss.store.events import EventFilter, EventPage
from tests.integration.conftest import SUPABASE_KEY, Stack
from tests.integration.test_main_job import payment
from tests.processes import running_service
from tests.support import SECRET_KEY

T = TypeVar("T")


def with_store(stack: Stack, work: Callable[[Store], Awaitable[T]]) -> T:
    async def run() -> T:
        store = Store.open(stack.supabase_url, SUPABASE_KEY, 10.0)
        try:
            return await work(store)
        finally:
            await store.close()

    return asyncio.run(run())


def mismatch(stack: Stack, order: str) -> None:
    """An order whose event fails because the application stored another amount."""
    row = {"order_id": order, "payment_key": f"placeholder-{order}", "order_name": "주문", "amount": 1}
    stack.data_api("POST", "payments", json={**row, "payment_status": "PENDING"}).raise_for_status()
    assert stack.post(payment(order)).json()["event_status"] == "failed"


def test_a_corrected_amount_is_replayed_and_the_row_is_paid(stack: Stack) -> None:
    mismatch(stack, "replayed-1")
    amount = stack.row("webhook_events?order_id=eq.replayed-1&select=change")["change"]["amount"]
    stack.data_api("PATCH", "payments?order_id=eq.replayed-1", json={"amount": amount}).raise_for_status()

    async def work(store: Store) -> None:
        chosen = await select(store, EventFilter(order_id="replayed-1"))
        ids = [event.id for event in chosen.events]
        assert len(ids) == 1
        for dry_run in (True, False):
            (outcome,) = await replay(store, ids, actor="김운영", dry_run=dry_run)
            assert (outcome.outcome, outcome.status) == ("replayed", "processed")
            shown = stack.row("payments?order_id=eq.replayed-1")["payment_status"]
            assert shown == ("PENDING" if dry_run else "DONE")

    with_store(stack, work)
    event_id = stack.row("webhook_events?order_id=eq.replayed-1&select=id")["id"]
    assert stack.row(f"peek_operator_actions?action=eq.replay&event_id=eq.{event_id}")["actor"] == "김운영"


def test_an_ignored_event_says_why(stack: Stack) -> None:
    mismatch(stack, "ignored-1")

    async def work(store: Store) -> None:
        chosen = await select(store, EventFilter(order_id="ignored-1", statuses=("failed",)))
        (outcome,) = await ignore(store, [chosen.events[0].id], "고객이 직접 취소", actor="김운영", dry_run=False)
        assert (outcome.status, outcome.reason) == ("ignored", "operator")
        page = await store.find_events(EventFilter(order_id="ignored-1"), limit=5, with_payload=True)
        assert [action.reason for action in page.events[0].actions] == ["고객이 직접 취소"]
        assert '"orderId": "ignored-1"' in (page.events[0].payload or "")

    with_store(stack, work)


def test_pages_hold_every_event_once_in_both_directions(stack: Stack) -> None:
    stack.post([])  # refused, leaves nothing
    for number in range(7):
        stack.post(payment(f"paged-{number}"))

    async def all_ids(store: Store, *, is_ascending: bool) -> list[str]:
        found: list[str] = []
        page: EventPage | None = None
        while page is None or page.next:
            after = page.next if page else None
            page = await store.find_events(EventFilter(), limit=3, after=after, is_ascending=is_ascending)
            found += [event.id for event in page.events]
        return found

    async def work(store: Store) -> None:
        backwards = await all_ids(store, is_ascending=False)
        assert sorted(backwards) == sorted(row["id"] for row in stack.rows("webhook_events?select=id"))
        assert backwards == list(reversed(await all_ids(store, is_ascending=True)))

    with_store(stack, work)


class Target(JsonTarget):
    """Takes every message."""

    def __init__(self) -> None:
        super().__init__("http://127.0.0.1:1")
        self.texts: list[str] = []

    async def send(self, post: Post) -> None:
        self.texts.append(post.content.decode())


def test_an_alert_starts_and_ends(stack: Stack) -> None:
    mismatch(stack, "alerted-1")
    event = stack.row("webhook_events?order_id=eq.alerted-1")
    sent = Target()

    async def look(store: Store) -> None:
        await Watch(store, Limits(10), sent, 60, "tests:1").check()

    with_store(stack, look)
    alert = stack.row("peek_alerts?subject=eq.alerted-1")
    assert (alert["rule"], alert["ended_at"], alert["details"]["order_id"]) == ("amount_mismatch", None, "alerted-1")
    assert alert["start_told_at"] is not None
    amount = event["change"]["amount"]
    stack.data_api("PATCH", "payments?order_id=eq.alerted-1", json={"amount": amount}).raise_for_status()
    assert stack.post(payment("alerted-1")).json()["event_status"] == "processed"
    with_store(stack, look)
    alert = stack.row("peek_alerts?subject=eq.alerted-1")
    assert alert["ended_at"] is not None
    assert alert["end_told_at"] is not None
    assert sum("alerted-1" in text for text in sent.texts) == 2


def test_a_process_that_is_told_to_stop_says_goodbye(stack: Stack, tmp_path: Path) -> None:
    settings = {
        "SUPABASE_URL": stack.supabase_url,
        "SUPABASE_SECRET_KEY": SUPABASE_KEY,
        "TOSS_SECRET_KEY": SECRET_KEY,
        "TOSS_API_URL": f"http://{LOOPBACK}:{free_port()}",
    }
    before = {row["name"] for row in stack.rows("peek_processes")}
    with running_service(settings, tmp_path / "service.log"):
        deadline = time.monotonic() + 20
        while not (running := {row["name"] for row in stack.rows("peek_processes")} - before):
            assert time.monotonic() < deadline
    assert len(running) == 1
    # One that it may have replaced comes back with its next check.
    assert not running & {row["name"] for row in stack.rows("peek_processes")}


def test_the_backlog_is_answered_for(stack: Stack) -> None:
    answer = stack.http.get(f"{stack.service_url}/backlogz")
    assert answer.json()["limit_seconds"] == 600
    assert (answer.status_code, answer.json()["status"]) == (200, "ok")
