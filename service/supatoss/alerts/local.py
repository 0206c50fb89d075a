"""What a process sees itself, without the database: its deliveries, Toss's answers to its keys, its own calls."""

import asyncio
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from supatoss.alerts.rules import Rule, Violation
from supatoss.errors import Reason, TossError, TossMisconfigured, TossUnavailable
from supatoss.telemetry import DELIVERIES
from supatoss.toss.client import TossClient
from supatoss.toss.keys import ApiKey

WINDOW_SECONDS = 900.0
"""A quarter of an hour decides the shares: Toss's first retries fall into it."""

LONG_WINDOW_SECONDS = 7200.0
"""Toss retries a delivery after 1, 4, 16 and 64 minutes, so one that is always refused comes five times in it."""

MIN_DELIVERIES = 20
"""Fewer deliveries in a window are too few for a share: a scanner's two probes are no reason for an alert."""

MIN_REJECTED = 5
"""Where nothing at all is accepted, in the long window: one delivery of Toss with its retries."""

MAX_REJECTED_SHARE = 0.5
"""With a wrong key every delivery of Toss is refused; strangers' attempts stay below half of a project's traffic."""

MIN_NOT_STORED = 3
"""One delivery with its first two retries. Fewer may be a time-out of Toss, which the retry cures."""

MAX_NOT_STORED_SHARE = 0.2

QUIET_SECONDS = 300.0
"""For a process whose sending failed and that has had nothing to send since: others have sent its alerts by then."""

AWAY_SECONDS = 180.0
"""For Toss, the database and the target of alerts: shorter failures end by themselves."""

PROBE_SECONDS = 600.0
"""Between two look-ups with each key while all is well. In trouble, every check does one."""

PROBE_TIMEOUT_SECONDS = 5.0

Clock = Callable[[], float]


@dataclass(frozen=True, slots=True)
class DeliveryCounts:
    """Deliveries that this process answered in one window of time. failed: 503, but not because it stops."""

    accepted: int = 0
    rejected: int = 0
    failed: int = 0

    @property
    def total(self) -> int:
        """All of them."""
        return self.accepted + self.rejected + self.failed


@dataclass(frozen=True, slots=True)
class Opinion:
    """What this process knows of a rule and a subject. details: why it is violated; None: it is not."""

    rule: Rule
    subject: str
    details: dict[str, Any] | None = None
    age_seconds: float = 0.0

    @property
    def violation(self) -> Violation:
        """The violation. Only where there are details."""
        return Violation(self.rule, self.subject, self.details or {})


class DeliveryWindow:
    """Deliveries of the last two hours, from this process's own counters."""

    def __init__(self, clock: Clock = time.monotonic) -> None:
        self._clock = clock
        self._samples: deque[tuple[float, DeliveryCounts]] = deque([(clock(), _counted())])

    def read(self, seconds: float = WINDOW_SECONDS) -> DeliveryCounts:
        """Deliveries since the newest sample of at least that age, or since the first one."""
        now, counted = self._clock(), _counted()
        while len(self._samples) > 1 and self._samples[1][0] <= now - LONG_WINDOW_SECONDS:
            self._samples.popleft()
        before = self._samples[0][1]
        for at, sample in self._samples:
            if at > now - seconds:
                break
            before = sample
        self._samples.append((now, counted))
        return DeliveryCounts(
            counted.accepted - before.accepted, counted.rejected - before.rejected, counted.failed - before.failed
        )


def judge_deliveries(recent: DeliveryCounts, longer: DeliveryCounts, observer: str) -> list[Opinion]:
    """Whether too many deliveries were refused, or not stored."""
    rejected = None
    if recent.total >= MIN_DELIVERIES and recent.rejected > recent.total * MAX_REJECTED_SHARE:
        rejected = {"rejected": recent.rejected, "deliveries": recent.total}
    elif longer.rejected >= MIN_REJECTED and not longer.accepted:
        rejected = {"rejected": longer.rejected, "deliveries": longer.total}
    failed = None
    if recent.failed >= MIN_NOT_STORED and recent.failed > recent.total * MAX_NOT_STORED_SHARE:
        failed = {"failed": recent.failed, "deliveries": recent.total}
    return [Opinion(Rule.REJECTED_SHARE, observer, rejected), Opinion(Rule.NOT_STORED, observer, failed)]


class Trouble:
    """Since when something has failed, and why."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._since: float | None = None
        self._failed_at = 0.0
        self._failures = 0
        self.problem = ""

    def failed(self, problem: str) -> None:
        """It failed once more."""
        self.problem = problem
        self._failed_at = self._clock()
        self._failures += 1
        if self._since is None:
            self._since = self._failed_at

    def worked(self) -> None:
        """It works."""
        self._since = None
        self._failures = 0

    def was_not_tried(self) -> None:
        """There was no reason to try; after a while the failure is forgotten."""
        if self._clock() - self._failed_at >= QUIET_SECONDS:
            self._since = None

    @property
    def is_repeated(self) -> bool:
        """Whether it failed the last two times."""
        return self._failures > 1

    @property
    def is_long(self) -> bool:
        """Whether it has failed for so long that somebody should look."""
        return self._since is not None and self._clock() - self._since >= AWAY_SECONDS

    def details(self) -> dict[str, Any] | None:
        """Why and for how long, once that is long."""
        if self._since is None or not self.is_long:
            return None
        return {"problem": self.problem, "minutes": int((self._clock() - self._since) // 60)}


@dataclass(slots=True)
class _KeyState:
    trouble: Trouble
    is_refused: bool | None = None
    code: str | None = None
    answered_at: float = 0.0


class KeyProbe:
    """Looks an order that cannot exist up with each key now and then, so that a refusal is known without traffic."""

    def __init__(self, toss: TossClient, clock: Clock = time.monotonic) -> None:
        self._toss = toss
        self._clock = clock
        self._states = {key: _KeyState(Trouble(clock)) for key in toss.keys}
        self._probed_at = float("-inf")
        self._is_well = True

    async def look(self) -> list[Opinion]:
        """Probes if it is time to, and says what is known of each key and of Toss."""
        if not self._is_well or self._clock() - self._probed_at >= PROBE_SECONDS:
            results = await asyncio.gather(*map(self._probe, self._states))
            self._is_well = all(results)
            self._probed_at = self._clock()
        return [*self._keys(), self._away()]

    async def _probe(self, key: ApiKey) -> bool:
        state = self._states[key]
        try:
            await self._toss.check_key(key, timeout_seconds=PROBE_TIMEOUT_SECONDS)
        except TossUnavailable as error:
            # Whether it is refused stays as it was known.
            state.trouble.failed(str(error))
            return False
        except TossMisconfigured as error:
            state.is_refused, state.code = True, error.code
        except TossError:
            state.is_refused = False  # Odd, but the key was accepted.
        else:
            state.is_refused = False
        state.trouble.worked()
        state.answered_at = self._clock()
        return not state.is_refused

    def _keys(self) -> list[Opinion]:
        return [
            Opinion(
                Rule.KEY_REFUSED,
                key.name,
                {"code": state.code} if state.is_refused else None,
                self._clock() - state.answered_at,
            )
            for key, state in self._states.items()
            if state.is_refused is not None
        ]

    def _away(self) -> Opinion:
        away = {key.name: state.trouble for key, state in self._states.items() if state.trouble.is_long}
        longest = next(iter(away.values()), None)
        details = {"keys": ", ".join(away), **(longest.details() or {})} if longest else None
        return Opinion(Rule.TOSS_AWAY, "", details, self._clock() - self._probed_at)


@dataclass(slots=True)
class LocalView:
    """Everything that one process sees itself."""

    observer: str
    toss: TossClient | None
    clock: Clock = time.monotonic
    database: Trouble = field(init=False)
    target: Trouble = field(init=False)
    _window: DeliveryWindow = field(init=False)
    _probe: KeyProbe | None = field(init=False)

    def __post_init__(self) -> None:
        self.database = Trouble(self.clock)
        self.target = Trouble(self.clock)
        self._window = DeliveryWindow(self.clock)
        self._probe = KeyProbe(self.toss, self.clock) if self.toss else None

    async def look(self) -> list[Opinion]:
        """What it knows now, without trying the database."""
        return [
            *judge_deliveries(self._window.read(), self._window.read(LONG_WINDOW_SECONDS), self.observer),
            Opinion(Rule.ALERTS_NOT_SENT, self.observer, self.target.details()),
            *(await self._probe.look() if self._probe else ()),
        ]

    def judge_database(self) -> Opinion:
        """Whether the database has been unavailable for long."""
        return Opinion(Rule.DATABASE_AWAY, self.observer, self.database.details())


def _counted() -> DeliveryCounts:
    accepted = rejected = failed = 0.0
    for family in DELIVERIES.collect():
        for sample in family.samples:
            if not sample.name.endswith("_total"):
                continue
            outcome = sample.labels["outcome"]
            if outcome == "rejected":
                rejected += sample.value
            elif outcome == "failed" and sample.labels["reason"] != Reason.STOPPING.value:
                failed += sample.value
            elif outcome in ("created", "duplicate"):
                accepted += sample.value
    return DeliveryCounts(int(accepted), int(rejected), int(failed))
