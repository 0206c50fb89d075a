"""Checks the rules every minute: read facts, evaluate, record which alerts start and end, send messages.

Any number of processes may run it. The database decides what is new and leases each message to one of them, so every
start and every end is sent once. A message repeats only if a process dies between sending and recording it. While the
database is away, each process tells what it sees itself, and the database is told afterwards.
"""

import asyncio
import contextlib
import datetime as dt
import os
import socket
import time
from collections.abc import Iterable, Mapping, Sequence
from functools import partial
from typing import Any, Literal

import anyio
import structlog

from supatoss import tracing
from supatoss.alerts.direct import DirectAlert, DirectAlerts
from supatoss.alerts.local import Clock, LocalView, Opinion
from supatoss.alerts.rules import MAX_SUBJECTS, Limits, Rule, evaluate, judged
from supatoss.alerts.targets import AlertNotSent, Post, Target
from supatoss.errors import StoreError, StoreUnavailable, SupatossError
from supatoss.store import Store
from supatoss.store.alerts import AlertFacts, Look, UnsentAlert
from supatoss.store.findings import FindingKind
from supatoss.telemetry import (
    ALERT_MESSAGES,
    ALERTS_OPEN,
    OLDEST_WAITING,
    RECONCILED_AT,
    RECONCILIATION_DIFFERENCES,
    describe,
)
from supatoss.toss.client import TossClient

LEASE_SECONDS = 60
"""Longer than one message can take; after it, an alert that could not be sent is free for the next try."""

SEND_BATCH = 20

STORE_SECONDS = 20.0
"""Longest time for what a check tells the database and is told by it."""

CHECK_SECONDS = 45.0
"""Longest check: the keys, the database, and the messages. One that hangs would silence the alerts."""

GOODBYE_SECONDS = 2.0
"""A process that stops has five seconds; without its goodbye it counts as gone."""

Role = Literal["web", "worker"]
"""What a process is for: it receives deliveries, or it works on them alone."""

_log = structlog.get_logger("supatoss.alerts")


class Watch:
    """The loop. Without a `target`, alerts go to the log and the metrics, and other processes send them.

    toss: whose keys are looked at; None leaves that to other processes.
    """

    def __init__(
        self,
        store: Store,
        limits: Limits,
        target: Target | None,
        interval_seconds: float,
        observer: str,
        toss: TossClient | None = None,
        *,
        clock: Clock = time.monotonic,
    ) -> None:
        self._store = store
        self._limits = limits
        self._target = target
        self._interval_seconds = interval_seconds
        self._observer = observer
        self._local = LocalView(observer, toss, clock)
        self._direct = DirectAlerts(clock)
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
        for goodbye in (self._end_direct_alerts, partial(self._store.forget_process, self._observer)):
            with contextlib.suppress(TimeoutError, SupatossError):
                async with asyncio.timeout(GOODBYE_SECONDS):
                    await goodbye()

    async def check(self) -> None:
        """Checks once. Raises StoreError; a later check, of any process, sends what was not sent."""
        opinions = await self._local.look()
        try:
            await self._note_in_time(opinions)
        except StoreError as error:
            self._local.database.failed(str(error))
            if self._local.database.is_repeated:  # A single failed call is no outage, and others may tell the same.
                await self._tell_directly([*opinions, self._local.judge_database()])
            raise
        while self._target and (unsent := await self._store.claim_alerts(SEND_BATCH, LEASE_SECONDS)):
            if not await self._send(self._target, unsent):
                return
        self._local.target.was_not_tried()

    async def _note_in_time(self, opinions: Sequence[Opinion]) -> None:
        """Raises StoreUnavailable where the database hangs: each of its calls may be within its own limit."""
        try:
            with anyio.fail_after(STORE_SECONDS):
                await self._note(opinions)
        except TimeoutError:
            raise StoreUnavailable(f"the Data API did not answer within {STORE_SECONDS:g} seconds") from None

    async def _note(self, opinions: Sequence[Opinion]) -> None:
        """Tells the database what this look found, and what began and ended while it was away."""
        facts = await self._store.read_alert_facts(MAX_SUBJECTS)
        self._measure(facts)
        # That the look arrives says that the database is back.
        opinions = [*opinions, Opinion(Rule.DATABASE_AWAY, self._observer)]
        violations = evaluate(facts, self._limits)
        noted = await self._store.note_alerts(
            Look(
                facts.read_at,
                self._observer,
                [*(violation.to_record() for violation in violations), *self._findings(opinions, facts.read_at)],
                [*judged(self._limits), *(_judged(opinion, facts.read_at) for opinion in opinions)],
                self._direct.to_past(opinions, facts.read_at),
                self._interval_seconds,
            )
        )
        self._local.database.worked()
        began = [alert for alert in noted.began if not self._direct.is_open(alert["rule"], alert["subject"])]
        _, ended_meanwhile = self._direct.note(opinions)
        self._direct.recorded(opinions)
        for alert in began:
            _log_alert("alert started", alert)
        for alert in [*noted.ended, *map(_for_log, ended_meanwhile)]:
            _log_alert("alert ended", alert)
        for rule in Rule:
            ALERTS_OPEN.labels(rule.value).set(noted.open.get(rule.value, 0))

    def _measure(self, facts: AlertFacts) -> None:
        """What every process exports, whichever of them did the work."""
        OLDEST_WAITING.set(facts.oldest_waiting_seconds or 0)
        compared = facts.reconciliation
        for kind in FindingKind:
            RECONCILIATION_DIFFERENCES.labels(kind.value).set(compared.kinds.get(kind.value, 0))
        # Without a schedule nobody waits for the next one.
        at = compared.reconciled_at if self._limits.reconciles else None
        RECONCILED_AT.set(at.timestamp() if at else 0)

    def _findings(self, opinions: Iterable[Opinion], read_at: dt.datetime) -> list[dict[str, Any]]:
        return [
            {
                **opinion.violation.to_record(),
                "seen_at": _seen_at(opinion, read_at),
                "told": self._direct.is_told(opinion.rule, opinion.subject),
            }
            for opinion in opinions
            if opinion.details is not None
        ]

    async def _tell_directly(self, opinions: Sequence[Opinion]) -> None:
        """Without the database nobody knows who has told what: each process tells what it sees, once."""
        began, ended = self._direct.note(opinions)
        for alert in began:
            _log_alert("alert started", _for_log(alert))
        for alert in ended:
            _log_alert("alert ended", _for_log(alert))
        for rule in {opinion.rule for opinion in opinions}:
            ALERTS_OPEN.labels(rule.value).set(self._direct.count(rule))
        if not self._target:
            return
        unsent = self._direct.unsent()
        for post in self._target.compose([message for _, message in unsent]):
            if not await self._try_to_send(self._target, post):
                return
            for direct, message in unsent:
                if message in post.alerts:
                    direct.is_start_sent = True
                    direct.is_end_sent = message.phase == "end"

    async def _end_direct_alerts(self) -> None:
        """What this process alone has told of: nobody else will tell of its end."""
        self._direct.cut_short()
        await self._tell_directly([])

    async def _send(self, target: Target, unsent: list[UnsentAlert]) -> bool:
        for post in target.compose(unsent):
            if not await self._try_to_send(target, post):
                # Their leases expire; a later check sends them again.
                return False
            await self._store.confirm_alerts([alert.token for alert in post.alerts])
        return True

    async def _try_to_send(self, target: Target, post: Post) -> bool:
        outcome = "ok"
        rules = sorted({alert.rule for alert in post.alerts})
        try:
            with tracing.span("send alerts", "client", {"alerts": len(post.alerts), "rules": rules}):
                await target.send(post)
        except AlertNotSent as error:
            _log.error("alert not sent", error=str(error), alerts=len(post.alerts))
            self._local.target.failed(str(error))
            outcome = "failed"
        else:
            self._local.target.worked()
        for alert in post.alerts:
            ALERT_MESSAGES.labels(alert.phase, outcome).inc()
        return outcome == "ok"


def observer_name(role: Role) -> str:
    """Name of this process: machine, role and process id."""
    return f"{os.environ.get('FLY_MACHINE_ID') or socket.gethostname()}:{role}:{os.getpid()}"


def _seen_at(opinion: Opinion, read_at: dt.datetime) -> dt.datetime:
    """By the database's clock: those of machines differ."""
    return read_at - dt.timedelta(seconds=opinion.age_seconds)


def _judged(opinion: Opinion, read_at: dt.datetime) -> dict[str, Any]:
    return {"rule": opinion.rule.value, "subject": opinion.subject, "seen_at": _seen_at(opinion, read_at)}


def _for_log(alert: DirectAlert) -> dict[str, Any]:
    return {"rule": alert.opinion.rule.value, "subject": alert.opinion.subject, "details": alert.opinion.details}


def _log_alert(event: str, alert: Mapping[str, Any]) -> None:
    log = _log.error if event == "alert started" else _log.info
    log(event, **alert)
