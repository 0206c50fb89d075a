"""The look, every minute: read facts, apply the rules, note what starts and ends, tell operators. Any number may run.

The database decides what is new, and who tells of it under a lease: each start and each end goes out once whatever the
number of processes and restarts, and a second time only if a process dies between sending and confirming.
"""

import asyncio
import contextlib
import os
import socket
import time
from collections import deque
from collections.abc import Callable

import structlog

from supatoss.alerts.messages import ChatWebhook, NotTold, compose
from supatoss.alerts.rules import MAX_SUBJECTS, OWN_RULES, Deliveries, Limits, Rule, evaluate
from supatoss.errors import SupatossError
from supatoss.store import Store
from supatoss.store.alerts import UntoldAlert
from supatoss.telemetry import ALERT_MESSAGES, ALERTS_OPEN, DELIVERIES, OLDEST_WAITING, describe

LEASE_SECONDS = 60
"""Longer than one message can take; an alert that could not be sent is free again after it."""

TELL_BATCH = 20
WINDOW_SECONDS = 900.0
"""The last quarter of an hour decides about the share of refused deliveries: Toss's first re-sends fall in it."""

LOOK_SECONDS = 30.0
"""Longest look. A hanging one would silence the alerts."""

_log = structlog.get_logger("supatoss.alerts")


class DeliveryWindow:
    """Deliveries of the last quarter of an hour, from the process's own counters."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._samples: deque[tuple[float, Deliveries]] = deque([(clock(), _counted())])

    def read(self) -> Deliveries:
        """What was counted since the oldest sample within the window."""
        now, counted = self._clock(), _counted()
        while len(self._samples) > 1 and self._samples[1][0] <= now - WINDOW_SECONDS:
            self._samples.popleft()
        before = self._samples[0][1]
        self._samples.append((now, counted))
        return Deliveries(counted.accepted - before.accepted, counted.rejected - before.rejected)


class Watch:
    """Looks until `stop`. `target` None: alerts go to the log and the metrics only."""

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
        """Looks until `stop`. Errors are logged and the next look is waited for."""
        while not self._stopped.is_set():
            try:
                async with asyncio.timeout(LOOK_SECONDS):
                    await self.look()
            except SupatossError as error:
                _log.warning("alerts not looked at", error=str(error))
            except Exception as error:  # noqa: BLE001 - a defect of one look must not end the watch
                _log.error("look at alerts failed", **describe(error))
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(self._interval_seconds):
                    await self._stopped.wait()

    async def look(self) -> None:
        """One look. Raises StoreError; what was not told of then is told of by a later look, of any process."""
        facts = await self._store.read_alert_facts(MAX_SUBJECTS)
        OLDEST_WAITING.set(facts.oldest_waiting_seconds or 0)
        findings = evaluate(facts, self._window.read(), self._limits, self._observer)
        records = [finding.to_record() for finding in findings]
        counts = await self._store.note_alerts(facts.read_at, self._observer, records, OWN_RULES)
        for rule in Rule:
            ALERTS_OPEN.labels(rule.value).set(counts.get(rule.value, 0))
        while untold := await self._store.claim_alerts(TELL_BATCH, LEASE_SECONDS):
            if not await self._tell(untold):
                return

    async def _tell(self, untold: list[UntoldAlert]) -> bool:
        for alert in untold:
            if alert.attempts == 1:
                _log_alert(alert)
        for text, told in compose(untold):
            try:
                if self._target:
                    await self._target.send(text)
            except NotTold as error:
                # Their leases end by themselves; the next look sends them again.
                _log.error("alert not sent", error=str(error), alerts=len(told))
                _count(told, "failed")
                return False
            await self._store.confirm_alerts([alert.token for alert in told])
            _count(told, "ok")
        return True


def observer_name() -> str:
    """This process among those that watch: the machine and the process id."""
    return f"{os.environ.get('FLY_MACHINE_ID') or socket.gethostname()}:{os.getpid()}"


def _counted() -> Deliveries:
    accepted = rejected = 0.0
    for metric in DELIVERIES.collect():
        for sample in metric.samples:
            if not sample.name.endswith("_total"):
                continue
            if sample.labels["outcome"] in ("created", "duplicate"):
                accepted += sample.value
            elif sample.labels["outcome"] == "rejected":
                rejected += sample.value
    return Deliveries(int(accepted), int(rejected))


def _log_alert(alert: UntoldAlert) -> None:
    log = _log.error if alert.phase == "start" else _log.info
    log(
        "alert started" if alert.phase == "start" else "alert ended",
        rule=alert.rule,
        subject=alert.subject,
        details=alert.details,
        started_at=alert.started_at,
        ended_at=alert.ended_at,
    )


def _count(alerts: list[UntoldAlert], outcome: str) -> None:
    for alert in alerts:
        ALERT_MESSAGES.labels(alert.phase, outcome).inc()
