"""Deliveries as Toss sends them, unsigned: supatoss looks each payment up, and so does the guide's function, extended.

The orders are stored before, nothing of supatoss's protections is off, and signed deliveries of the same events are the
reference. Toss's API is a stand-in that answers after 0, 50 and 200 ms (benchmarks/peers/toss_stand_in.py).
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from typing import Any

from benchmarks.comparison import FIRST_ALONE, WARM_UP_CONNECTIONS
from benchmarks.measure import Load, Measurement, measure
from benchmarks.peers.unsigned import COUNTING, AskingGuide, Counted, Proof, Receiver
from benchmarks.report import keep
from benchmarks.stack import DURABLE, Stack
from benchmarks.workload import Sending, plan

SECONDS = 5.0
RATE = 30.0
"""Of the open loop, a second: three quarters of what eight look-ups at a time allow if Toss takes 200 ms."""

SHARES = (1.0, 0.9, 0.8, 0.7, 0.6)
"""Of the closed loop's rate: tried as an open loop's until nothing is refused and p99 is good."""

GOOD_P99_MS = 1000.0
"""Deliveries that pile up behind a limit wait longer than this within the measurement, before they are refused."""

BURST = 400
"""More than supatoss looks up in a minute for an address that Toss doesn't publish: 30 as a stranger's, 300 more about
orders that the tables know."""

BURST_SECONDS = 30.0
"""At most: a burst ends with its deliveries."""

AFTER_BURST_RATE = 5.0
"""A second, from that address: its look-ups come back at 5.5 a second."""


@dataclass(frozen=True, slots=True)
class Plan:
    """A run. seconds: of a measurement; rate: of the open loop, a second; deliveries: signed ones are faster."""

    toss_milliseconds: Sequence[int] = (0, 50, 200)
    connections: int = 64
    seconds: float = SECONDS
    rate: float = RATE
    warm_up_seconds: float = 3.0
    deliveries: int = 8_000
    signed_deliveries: int = 25_000
    burst: int = BURST
    after_burst_seconds: float = 20.0


@dataclass(frozen=True, slots=True)
class Figure:
    """One measurement. toss_milliseconds: None where Toss isn't asked."""

    peer: str
    toss_milliseconds: int | None
    load: str
    measurement: Measurement
    questions: int
    calls: int

    @property
    def refused(self) -> int:
        """Deliveries that Toss would send again."""
        return self.measurement.report.sent - self.measurement.report.acknowledged

    @property
    def is_good(self) -> bool:
        """Whether nothing was refused, and nothing waited for long."""
        return not self.refused and self.measurement.report.p99_ms <= GOOD_P99_MS

    @property
    def problems(self) -> Sequence[str]:
        """What was lost, doubled or wrong; a refusal is none of these."""
        return self.measurement.problems[1 if self.refused else 0 :]


class RealPath:
    """Measures one load after the other."""

    def __init__(self, stack: Stack, wanted: Plan, log: Callable[[str], None]) -> None:
        self._stack = stack
        self._plan = wanted
        self._log = log

    def figures(self) -> Iterator[Figure]:
        """All of a run, in the order of the table."""
        signed = Receiver(Proof.SIGNATURE)
        with self._started(signed, self._plan.signed_deliveries) as running:
            yield from self._loads(running, signed.name, None)
        for milliseconds in self._plan.toss_milliseconds:
            for peer in (Receiver(Proof.TOSS_ADDRESS, milliseconds), AskingGuide(milliseconds)):
                with self._started(peer, self._plan.deliveries) as running:
                    yield from self._loads(running, peer.name, milliseconds)
        yield from self._from_elsewhere(self._plan.toss_milliseconds[0])

    def _loads(self, running: Counted, name: str, milliseconds: int | None) -> Iterator[Figure]:
        wanted = self._plan
        closed = Load(wanted.connections, wanted.seconds)
        figure = self._measure(running, name, milliseconds, f"{closed.connections} connections", closed)
        yield figure
        steady = replace(closed, rate=wanted.rate)
        yield self._measure(running, name, milliseconds, f"{wanted.rate:,.0f}/s", steady)
        if milliseconds is not None:
            yield self._highest(running, name, milliseconds, figure.measurement.report.rate)

    def _highest(self, running: Counted, name: str, milliseconds: int, closed_rate: float) -> Figure:
        """The highest rate of an open loop that is answered without refusals and in good time."""
        tried: list[Figure] = []
        for share in SHARES:
            rate = round(closed_rate * share, 1)
            load = Load(4 * self._plan.connections, 2 * self._plan.seconds, rate=rate)
            tried.append(self._measure(running, name, milliseconds, f"highest rate: {rate:,.0f}/s", load))
            if tried[-1].is_good:
                return tried[-1]
        return replace(tried[-1], load=f"{tried[-1].load}, and that is too high")

    def _from_elsewhere(self, milliseconds: int) -> Iterator[Figure]:
        """Here a limit bounds the rate: a burst shows it, and then what comes back of it is used up steadily."""
        peer = Receiver(Proof.NOTHING, milliseconds)
        with peer.start(self._stack, plan(self._plan.burst)) as running:
            burst = Load(self._plan.connections, BURST_SECONDS, self._plan.burst)
            yield self._measure(running, peer.name, milliseconds, f"{burst.count} in a burst", burst)
            # Few connections: the server closes one that sends no request for ten seconds.
            after = Load(8, self._plan.after_burst_seconds, rate=AFTER_BURST_RATE)
            yield self._measure(running, peer.name, milliseconds, f"then {AFTER_BURST_RATE:,.0f}/s", after)

    @contextmanager
    def _started(self, peer: Receiver | AskingGuide, deliveries: int) -> Iterator[Counted]:
        sendings: Sequence[Sending] = plan(deliveries)
        with peer.start(self._stack, sendings) as running:
            running.reset()
            running.drive(Load(1, self._plan.warm_up_seconds, FIRST_ALONE))
            running.drive(Load(WARM_UP_CONNECTIONS, self._plan.warm_up_seconds))
            yield running

    def _measure(self, running: Counted, name: str, milliseconds: int | None, what: str, load: Load) -> Figure:
        measurement = measure(running, load)
        figure = Figure(name, milliseconds, what, measurement, running.questions, running.calls)
        self._log("\n".join([row(figure), *(f"  WRONG: {problem}" for problem in figure.problems)]))
        return figure


HEADER = (
    "| delivery | Toss answers after | load | answered/s | p50 / p99 ms | questions to Toss | Data API calls | refused"
    " | cores |\n|---|---|---|---|---|---|---|---|---|"
)


def row(figure: Figure) -> str:
    """One line of the table in Markdown; questions and calls are those of one delivery."""
    report = figure.measurement.report
    sent = report.sent or 1
    cores = ", ".join(f"{group} {used:.2f}" for group, used in figure.measurement.cores.items() if used)
    after = "–" if figure.toss_milliseconds is None else f"{figure.toss_milliseconds} ms"
    answered = report.acknowledged / report.seconds if report.seconds else 0.0
    return (
        f"| {figure.peer} | {after} | {figure.load} | {answered:,.0f} | {report.p50_ms:,.0f} / {report.p99_ms:,.0f}"
        f" | {figure.questions / sent:.2f} | {figure.calls / sent:.2f} | {figure.refused} | {cores} |"
    )


def run(wanted: Plan, log: Callable[[str], None]) -> int:
    """Measures all, prints the table, and keeps the figures; returns the number of problems."""
    with Stack(settings={**DURABLE, **COUNTING}) as stack:
        figures = list(RealPath(stack, wanted, log).figures())
    kept: list[dict[str, Any]] = [asdict(figure) for figure in figures]
    print("\n".join(["", HEADER, *map(row, figures), "", f"figures: {keep('real', kept)}"]))
    return sum(len(figure.problems) for figure in figures)
