"""What the watch of a process exports from minute to minute, in an outage played to it."""

import asyncio
import datetime as dt
from collections import Counter
from collections.abc import Iterable

from supatoss import __version__
from supatoss.alerts.rules import Limits
from supatoss.alerts.watch import Watch
from supatoss.errors import StoreError, StoreUnavailable
from supatoss.store.alerts import AlertFacts, Look, Noted, UnsentAlert
from supatoss.telemetry import ALERTS_OPEN, DELIVERIES, PROCESS_INFO
from tests.unit.fakes import MemoryStore

FILMED = (ALERTS_OPEN, PROCESS_INFO)


class Project(MemoryStore):
    """A database that is there or away, and has no alerts but those of the last look."""

    is_away = False

    async def read_alert_facts(self, max_items: int) -> AlertFacts:
        if self.is_away:
            raise StoreUnavailable("no answer from the Data API: ConnectError")
        return AlertFacts(dt.datetime.now(dt.UTC))

    async def note_alerts(self, look: Look) -> Noted:
        return Noted(Counter(finding["rule"] for finding in look.findings), [], [])

    async def claim_alerts(self, max_alerts: int, lease_seconds: int) -> list[UnsentAlert]:
        return []


class Film:
    """A process that receives deliveries, and what Prometheus reads of it each minute."""

    def __init__(self) -> None:
        self.project = Project()
        self._minute = 0
        self._series: dict[str, list[str]] = {}
        self.start()

    def start(self) -> None:
        """The process starts, anew: what it knew is gone."""
        self._clear()
        self._watch = Watch(self.project, Limits(10), None, 60, "m:web:1", clock=lambda: self._minute * 60.0)
        PROCESS_INFO.labels("web", __version__).set(1)

    def run(self, minutes: int, failing: Iterable[int] = ()) -> None:
        """Minutes pass; at some of them a delivery is answered 503."""
        failing_at = {self._minute + minute for minute in failing}
        for _ in range(minutes):
            if self._minute in failing_at:
                DELIVERIES.labels("failed", "store_unavailable").inc()
            try:
                asyncio.run(self._watch.check())
            except StoreError:
                assert self.project.is_away
            self._scrape()

    def absent(self, minutes: int) -> None:
        """Nothing answers."""
        self._clear()
        for _ in range(minutes):
            self._scrape()

    def series(self) -> dict[str, str]:
        """For promtool; of a series that ends, Prometheus notes the end."""
        self._clear()
        return {name: " ".join(values) for name, values in self._series.items()}

    def _scrape(self) -> None:
        now = {}
        for metric in FILMED:
            for family in metric.collect():
                for sample in family.samples:
                    inside = ",".join(f'{label}="{value}"' for label, value in sample.labels.items())
                    now[f'{sample.name}{{{inside},instance="a"}}'] = f"{sample.value:g}"
        for name in now.keys() - self._series.keys():
            self._series[name] = ["_"] * self._minute
        for name, values in self._series.items():
            ended = "_" if not values or values[-1] in ("_", "stale") else "stale"
            values.append(now.get(name, ended))
        self._minute += 1

    def _clear(self) -> None:
        for metric in FILMED:
            metric.clear()
