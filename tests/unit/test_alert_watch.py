"""The loop around the checks: failures, the window of deliveries, the end."""

import asyncio
import datetime as dt
from typing import Any

import pytest

from supatoss.alerts.local import LONG_WINDOW_SECONDS, WINDOW_SECONDS, DeliveryCounts, DeliveryWindow
from supatoss.alerts.rules import Limits
from supatoss.alerts.targets import AlertNotSent, JsonTarget, Post
from supatoss.alerts.watch import Watch
from supatoss.errors import Reason, StoreUnavailable
from supatoss.store.alerts import AlertFacts, Look, Noted, UnsentAlert
from supatoss.telemetry import DELIVERIES
from tests.unit.fakes import LogLines, MemoryStore

pytestmark = pytest.mark.anyio


class Silent(MemoryStore):
    """Its checks fail in turn; the last one stops the watch."""

    def __init__(self, *failures: Exception) -> None:
        super().__init__()
        self.failures = list(failures)
        self.watch: Watch | None = None
        self.checks = 0
        self.checked = asyncio.Event()
        self.forgotten: list[str] = []

    async def read_alert_facts(self, max_items: int) -> AlertFacts:
        self.checks += 1
        self.checked.set()
        if len(self.failures) == 1 and self.watch:
            self.watch.stop()
        raise self.failures.pop(0)

    async def forget_process(self, observer: str) -> None:
        self.forgotten.append(observer)

    async def claim_alerts(self, max_alerts: int, lease_seconds: int) -> list[UnsentAlert]:
        raise AssertionError


class Hanging(MemoryStore):
    """Each call but the first hangs, as together they can for longer than any of them."""

    def __init__(self) -> None:
        super().__init__()
        self.is_well = False
        self.looks: list[Look] = []

    async def read_alert_facts(self, max_items: int) -> AlertFacts:
        return AlertFacts(dt.datetime.now(dt.UTC))

    async def note_alerts(self, look: Look) -> Noted:
        if not self.is_well:
            await asyncio.Event().wait()
        self.looks.append(look)
        return Noted({}, [], [])

    async def claim_alerts(self, max_alerts: int, lease_seconds: int) -> list[UnsentAlert]:
        return []


class Told(JsonTarget):
    """Remembers what was sent."""

    def __init__(self) -> None:
        super().__init__("http://127.0.0.1:1")
        self.told: list[UnsentAlert] = []

    async def send(self, post: Post) -> None:
        self.told += post.alerts


async def test_a_check_that_fails_does_not_end_the_watch_and_shows_no_secret() -> None:
    lines = LogLines()
    store = Silent(StoreUnavailable("away"), ValueError("hidden"), StoreUnavailable("away"))
    store.watch = Watch(store, Limits(10), None, 0.001, "a:1")
    await store.watch.run()
    assert store.checks == 3
    logged = lines()
    assert [line["event"] for line in logged] == [
        "alert check postponed",
        "alert check failed",
        "alert check postponed",
    ]
    assert "hidden" not in str(logged)


async def test_a_watch_that_is_told_to_stop_ends_at_once() -> None:
    store = Silent(StoreUnavailable("away"))
    watch = Watch(store, Limits(10), None, 3600, "a:1")
    task = asyncio.create_task(watch.run())
    async with asyncio.timeout(20):
        await store.checked.wait()
        watch.stop()
        await task
    assert store.forgotten == ["a:1"]


async def test_a_database_that_hangs_is_told_of_as_one_that_is_away(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("supatoss.alerts.watch.STORE_SECONDS", 0.01)
    now = 0.0
    store, target = Hanging(), Told()
    watch = Watch(store, Limits(10), target, 60, "a:1", clock=lambda: now)
    for minute in range(5):
        now = minute * 60.0
        with pytest.raises(StoreUnavailable, match=r"within 0\.01 seconds"):
            await watch.check()
    assert [(alert.rule, alert.phase) for alert in target.told] == [("database_away", "start")]
    assert target.told[0].details["problem"] == "the Data API did not answer within 0.01 seconds"
    store.is_well = True
    await watch.check()
    (past,) = store.looks[0].past
    assert (past["rule"], past["start_told"], past["end_told"]) == ("database_away", True, False)


async def test_a_process_that_stops_ends_what_it_alone_has_told_of() -> None:
    now = 0.0
    store, target = Silent(*[StoreUnavailable("away")] * 5), Told()
    watch = Watch(store, Limits(10), target, 60, "a:1", clock=lambda: now)
    for minute in range(4):
        now = minute * 60.0
        with pytest.raises(StoreUnavailable):
            await watch.check()
    watch.stop()
    await watch.run()
    assert [(alert.rule, alert.phase) for alert in target.told] == [
        ("database_away", "start"),
        ("database_away", "end"),
    ]
    assert target.told[1].details["stopped"]
    assert store.forgotten == ["a:1"]


async def test_a_single_failed_call_of_the_database_is_no_reason_to_tell_directly() -> None:
    store, target = Silent(*[StoreUnavailable("away")] * 3), Told()
    watch = Watch(store, Limits(10), target, 60, "a:1")
    DELIVERIES.labels("failed", "deadline").inc(9)
    with pytest.raises(StoreUnavailable):
        await watch.check()
    assert not target.told
    with pytest.raises(StoreUnavailable):
        await watch.check()
    assert [(alert.rule, alert.phase) for alert in target.told] == [("not_stored", "start")]


def test_a_deployment_is_no_failure() -> None:
    """What comes while the process stops gets a 503, and Toss sends it again to the next one."""
    window = DeliveryWindow()
    DELIVERIES.labels("failed", Reason.STOPPING.value).inc(5)
    DELIVERIES.labels("failed", Reason.DEADLINE.value).inc(2)
    assert window.read() == DeliveryCounts(failed=2)


def test_the_window_forgets_what_is_older() -> None:
    now = 0.0
    window = DeliveryWindow(lambda: now)
    DELIVERIES.labels("rejected", "invalid_signature").inc(5)
    DELIVERIES.labels("created", "").inc(2)
    DELIVERIES.labels("failed", "deadline").inc(9)
    DELIVERIES.labels("probe", "missing_signature").inc(7)
    DELIVERIES.labels("acknowledged", "").inc(7)
    now = 60.0
    assert window.read() == DeliveryCounts(2, 5, 9)
    DELIVERIES.labels("duplicate", "").inc()
    now = WINDOW_SECONDS + 60.0
    assert window.read() == DeliveryCounts(1, 0)
    assert window.read(LONG_WINDOW_SECONDS) == DeliveryCounts(3, 5, 9)
    now = LONG_WINDOW_SECONDS * 3
    assert window.read() == window.read(LONG_WINDOW_SECONDS) == DeliveryCounts(0, 0)


@pytest.mark.parametrize("url", ["http://127.0.0.1:1/services/hidden", "http://[::1", "http://127.0.0.1:1\x00/hidden"])
async def test_a_target_that_cannot_be_reached_is_not_named(url: str) -> None:
    with pytest.raises(AlertNotSent) as caught:
        await JsonTarget(url).send(Post(b"{}", ()))
    shown: Any = str(caught.value)
    assert "hidden" not in shown
    assert caught.value.__suppress_context__
