"""Everything between Toss and the disk: the processes of the service, the Data API, PostgreSQL, and whoever sends."""

import itertools
import random
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import partial

from benchmarks.latency import percentile
from benchmarks.queueing.costs import Costs
from benchmarks.queueing.machine import Action, Clock, Cores, Pool
from benchmarks.queueing.service import Batching, Delivery, Process

TOSS_WAITS_SECONDS = tuple(60.0 * 4**number for number in range(7))
"""Before each of Toss's seven retries: 1, 4, 16, … 4,096 minutes."""


@dataclass(frozen=True, slots=True)
class Machines:
    """Where the parts run. `shared_cores`: all of them, and the load generator, on one machine (the benchmark's).

    Otherwise each process of the service has a core, and the Data API and PostgreSQL share `database_cores`.
    `pool`: calls that the database works on at once; the others wait. `api_threads`: Supabase Lite has one.
    `toss_seconds`: how long a look-up at Toss takes; None for signed deliveries, which need none.
    """

    processes: int = 1
    shared_cores: float | None = None
    database_cores: int = 2
    api_threads: int = 2
    pool: int = 10
    network_seconds: float = 0.0
    toss_seconds: float | None = None


@dataclass(frozen=True, slots=True)
class Sender:
    """How deliveries come: over so many connections, one at a time on each (None: any number), and again after waits.

    In a closed loop all are due at once, and each counts from when it has a connection. `waits`: seconds after each
    answer that isn't 200.
    """

    connections: int | None = None
    is_closed: bool = False
    waits: Sequence[float] = ()


PATIENT = Sender()
AS_THE_RECORDER = Batching()


@dataclass(slots=True)
class Outcome:
    """What happened. Times in seconds.

    `stored_after` counts from a delivery's first attempt; what is `lost` had no retry left.
    """

    statuses: Counter[int] = field(default_factory=Counter)
    latencies: list[float] = field(default_factory=list)
    stored_after: list[float] = field(default_factory=list)
    lost: int = 0
    batches: list[int] = field(default_factory=list)
    busy: dict[str, float] = field(default_factory=dict)
    seconds: float = 0.0

    def latency_ms(self, share: float) -> float:
        """A percentile of the latency of answers with 200."""
        return percentile([latency * 1000 for latency in sorted(self.latencies)], share)

    @property
    def mean_batch(self) -> float:
        """Events a call."""
        return sum(self.batches) / len(self.batches) if self.batches else 0.0


class Backend:
    """The Data API, PostgreSQL and its disk."""

    def __init__(self, clock: Clock, cores: Cores, costs: Costs, machines: Machines, seed: int) -> None:
        self._clock, self._cores, self._costs = clock, cores, costs
        self._half_way = machines.network_seconds / 2
        self._api, self._pool = Pool(machines.api_threads), Pool(machines.pool)
        self._random = random.Random(seed)  # noqa: S311 - repeatable on purpose
        self.batches: list[int] = []

    def call(self, events: int, done: Action) -> None:
        """A call: over the network, through the Data API, into PostgreSQL, to the disk, and back."""
        self.batches.append(events)
        wait = max(0.0, self._costs.wait.at(events) + self._random.choice(self._costs.residuals))

        def on_connection(release: Action) -> None:
            def answer() -> None:
                release()
                self._clock.after(self._half_way, done)

            self._cores.run("postgres", self._costs.postgres.at(events), lambda: self._clock.after(wait, answer))

        def in_api(release: Action) -> None:
            def pass_on() -> None:
                release()
                self._pool.submit(on_connection)

            self._cores.run("api", self._costs.api.at(events), pass_on)

        self._clock.after(self._half_way, lambda: self._api.submit(in_api))


class Simulation:
    """Sends deliveries to the processes in turn, and notes their answers."""

    def __init__(
        self,
        costs: Costs,
        machines: Machines,
        sender: Sender,
        rules: Batching,
        seed: int,
    ) -> None:
        self._clock, self._outcome, self._sender = Clock(), Outcome(), sender
        busy = self._outcome.busy
        shared = Cores(self._clock, machines.shared_cores, busy) if machines.shared_cores else None
        backend = Backend(
            self._clock, shared or Cores(self._clock, machines.database_cores, busy), costs, machines, seed
        )
        self._outcome.batches = backend.batches
        processes = [
            Process(
                self._clock, shared or Cores(self._clock, 1, busy), costs, rules, backend.call, machines.toss_seconds
            )
            for _ in range(machines.processes)
        ]
        self._turns = itertools.cycle(processes)
        self._connections = Pool(sender.connections or 2**31)
        self._generator, self._generator_cores, self._generator_seconds = Pool(1), shared, costs.driver

    def run(self, arrivals: Iterable[float]) -> Outcome:
        """Delivers at these times, which ascend, until everything is answered."""
        self._arrive_next(iter(arrivals))
        self._clock.run()
        return self._outcome

    def _arrive_next(self, remaining: Iterator[float]) -> None:
        """Plans the next arrival; those of one moment come together."""
        moment = next(remaining, None)
        while moment is not None and moment <= self._clock.now:
            self._send(moment, 0)
            moment = next(remaining, None)
        if moment is not None:
            self._clock.after(moment - self._clock.now, partial(self._arrive, moment, remaining))

    def _arrive(self, moment: float, remaining: Iterator[float]) -> None:
        self._send(moment, 0)
        self._arrive_next(remaining)

    def _send(self, first: float, attempt: int) -> None:
        """Sends a delivery on a free connection; its latency counts from now, in a closed loop from then."""
        due = None if self._sender.is_closed else self._clock.now

        def on_connection(release: Action) -> None:
            sent = self._clock.now if due is None else due

            def answered(status: int) -> None:
                release()
                self._note(status, first, sent, attempt)

            self._generate(Delivery(answered))

        self._connections.submit(on_connection)

    def _generate(self, delivery: Delivery) -> None:
        """The load generator takes its part of the machine that it shares."""
        process, cores = next(self._turns), self._generator_cores
        if cores is None:
            process.receive(delivery)
            return

        def send(release: Action) -> None:
            def sent() -> None:
                release()
                process.receive(delivery)

            cores.run("driver", self._generator_seconds, sent)

        self._generator.submit(send)

    def _note(self, status: int, first: float, sent: float, attempt: int) -> None:
        self._outcome.statuses[status] += 1
        if status == 200:
            self._outcome.latencies.append(self._clock.now - sent)
            self._outcome.stored_after.append(self._clock.now - first)
            self._outcome.seconds = self._clock.now
        elif attempt < len(self._sender.waits):
            self._clock.after(self._sender.waits[attempt], lambda: self._send(first, attempt + 1))
        else:
            self._outcome.lost += 1


def simulate(
    costs: Costs,
    machines: Machines,
    arrivals: Iterable[float],
    sender: Sender = PATIENT,
    *,
    rules: Batching = AS_THE_RECORDER,
    seed: int = 1,
) -> Outcome:
    """Delivers at these times, which ascend, until everything is answered."""
    return Simulation(costs, machines, sender, rules, seed).run(arrivals)
