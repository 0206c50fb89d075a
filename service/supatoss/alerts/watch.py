"""Checks the rules every minute: read facts, evaluate, record which alerts start and end, send messages.

Any number of processes may run it. The database decides what is new and leases each message to one of them, so every
start and every end is sent once. A message repeats only if a process dies between sending and recording it.
"""

import asyncio
import contextlib
import os
import socket
import time
from collections import deque
from collections.abc import Callable

import structlog

from supatoss.alerts.messages import AlertNotSent, ChatWebhook, compose
from supatoss.alerts.rules import MAX_SUBJECTS, OWN_RULES, DeliveryCounts, Limits, Rule, evaluate
from supatoss.errors import SupatossError
from supatoss.store import Store
from supatoss.store.alerts import UnsentAlert
from supatoss.telemetry import ALERT_MESSAGES, ALERTS_OPEN, DELIVERIES, OLDEST_WAITING, describe

LEASE_SECONDS = 60
"""Longer than one message can take; after it, an alert that could not be sent is free for the next try."""

SEND_BATCH = 20
WINDOW_SECONDS = 900.0
"""A quarter of an hour decides the share of rejected deliveries: Toss's first retries fall into it."""

CHECK_SECONDS = 30.0
"""Longest check. One that hangs would silence the alerts."""

_log = structlog.get_logger("supatoss.alerts")


class DeliveryWindow:
    """Deliveries of the last quarter of an hour, from this process's own counters."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._samples: deque[tuple[float, DeliveryCounts]] = deque([(clock(), _counted())])

    def read(self) -> DeliveryCounts:
        """Deliveries since the oldest sample in the window."""
        now, counted = self._clock(), _counted()
        while len(self._samples) > 1 and self._samples[1][0] <= now - WINDOW_SECONDS:
            self._samples.popleft()
        before = self._samples[0][1]
        self._samples.append((now, counted))
        return DeliveryCounts(counted.accepted - before.accepted, counted.rejected - before.rejected)


class Watch:
    """The loop. Without a `target`, alerts go to the log and the metrics only."""

    def __init__(
        self, store: Store, limits: Limits, target: ChatWebhook | None, interval_seconds: float, observer: str
    ) -> None:
        self._store = store
        self._limits = limits
        self._target = target
        self._interval_seconds = interval_seconds
        self._observer = observer
        self._window = DeliveryWindow()
        self._stopped = asyncio.Event()

    def stop(self) -> None:
        """Ends the loop."""
        self._stopped.set()

    async def run(self) -> None:
        """Checks until `stop`. Errors are logged; the next check tries again."""
        while not self._stopped.is_set():
            try:
                async with asyncio.timeout(CHECK_SECONDS):
                    await self.check()
            except SupatossError as error:
                _log.warning("alert check postponed", error=str(error))
            except Exception as error:  # noqa: BLE001 - a defect in one check must not stop the watch
                _log.error("alert check failed", **describe(error))
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(self._interval_seconds):
                    await self._stopped.wait()

    async def check(self) -> None:
        """Checks once. Raises StoreError; a later check, of any process, sends what was not sent."""
        facts = await self._store.read_alert_facts(MAX_SUBJECTS)
        OLDEST_WAITING.set(facts.oldest_waiting_seconds or 0)
        violations = evaluate(facts, self._window.read(), self._limits, self._observer)
        records = [violation.to_record() for violation in violations]
        counts = await self._store.note_alerts(facts.read_at, self._observer, records, OWN_RULES)
        for rule in Rule:
            ALERTS_OPEN.labels(rule.value).set(counts.get(rule.value, 0))
        while unsent := await self._store.claim_alerts(SEND_BATCH, LEASE_SECONDS):
            if not await self._send(unsent):
                return

    async def _send(self, unsent: list[UnsentAlert]) -> bool:
        for alert in unsent:
            if alert.attempts == 1:
                _log_alert(alert)
        for text, alerts in compose(unsent):
            try:
                if self._target:
                    await self._target.send(text)
            except AlertNotSent as error:
                # Their leases expire; a later check sends them again.
                _log.error("alert not sent", error=str(error), alerts=len(alerts))
                _count(alerts, "failed")
                return False
            await self._store.confirm_alerts([alert.token for alert in alerts])
            _count(alerts, "ok")
        return True


def observer_name() -> str:
    """Name of this process: machine and process id."""
    return f"{os.environ.get('FLY_MACHINE_ID') or socket.gethostname()}:{os.getpid()}"


def _counted() -> DeliveryCounts:
    accepted = rejected = 0.0
    for metric in DELIVERIES.collect():
        for sample in metric.samples:
            if not sample.name.endswith("_total"):
                continue
            if sample.labels["outcome"] in ("created", "duplicate"):
                accepted += sample.value
            elif sample.labels["outcome"] == "rejected":
                rejected += sample.value
    return DeliveryCounts(int(accepted), int(rejected))


def _log_alert(alert: UnsentAlert) -> None:
    log = _log.error if alert.phase == "start" else _log.info
    log(
        "alert started" if alert.phase == "start" else "alert ended",
        rule=alert.rule,
        subject=alert.subject,
        details=alert.details,
        started_at=alert.started_at,
        ended_at=alert.ended_at,
    )


def _count(alerts: list[UnsentAlert], outcome: str) -> None:
    for alert in alerts:
        ALERT_MESSAGES.labels(alert.phase, outcome).inc()
