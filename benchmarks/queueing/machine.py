"""The parts of a discrete-event simulation: a clock, cores that threads share, pools of threads, and an event loop."""

import heapq
import itertools
from collections import deque
from collections.abc import Callable
from functools import partial

Action = Callable[[], None]


class Clock:
    """Runs what is due, in order of time."""

    def __init__(self) -> None:
        self.now = 0.0
        self._due: list[tuple[float, int, Action]] = []
        self._numbers = itertools.count()

    def after(self, seconds: float, action: Action) -> None:
        """Plans an action."""
        heapq.heappush(self._due, (self.now + seconds, next(self._numbers), action))

    def run(self) -> None:
        """Until nothing is planned any more."""
        while self._due:
            self.now, _, action = heapq.heappop(self._due)
            action()


class Cores:
    """Cores of one machine: a thread has one to itself while there are enough, else all are equally slower."""

    def __init__(self, clock: Clock, number: float, busy: dict[str, float]) -> None:
        self._clock, self._number, self._busy = clock, number, busy
        self._running: dict[int, tuple[float, Action]] = {}
        self._since = 0.0
        self._plan = 0

    def run(self, part: str, seconds: float, done: Action) -> None:
        """Works for this much CPU time, then calls `done`."""
        self._busy[part] = self._busy.get(part, 0.0) + seconds
        self._advance()
        self._plan += 1
        self._running[self._plan] = (seconds, done)
        self._plan_next()

    def _advance(self) -> None:
        if self._running:
            worked = (self._clock.now - self._since) * min(1.0, self._number / len(self._running))
            self._running = {job: (left - worked, done) for job, (left, done) in self._running.items()}
        self._since = self._clock.now

    def _plan_next(self) -> None:
        self._plan += 1
        if self._running:
            job = min(self._running, key=lambda number: self._running[number][0])
            speed = min(1.0, self._number / len(self._running))
            self._clock.after(max(0.0, self._running[job][0]) / speed, partial(self._end, self._plan, job))

    def _end(self, plan: int, job: int) -> None:
        if plan != self._plan:
            return  # something else has begun or ended since
        self._advance()
        _, done = self._running.pop(job)
        self._plan_next()
        done()


class Pool:
    """Threads that take jobs in order of arrival. A job calls what it is given when it ends."""

    def __init__(self, threads: int) -> None:
        self._free = threads
        self._waiting: deque[Callable[[Action], None]] = deque()

    def submit(self, job: Callable[[Action], None]) -> None:
        """Starts a job as soon as a thread is free."""
        self._waiting.append(job)
        self._start()

    def _start(self) -> None:
        while self._free and self._waiting:
            self._free -= 1
            self._waiting.popleft()(self._end)

    def _end(self) -> None:
        self._free += 1
        self._start()


class EventLoop:
    """One thread: what is ready runs in rounds, the loop's own callbacks before what has arrived meanwhile."""

    def __init__(self, clock: Clock, cores: Cores) -> None:
        self._clock, self._cores = clock, cores
        self._soon: deque[tuple[float, Action]] = deque()
        self._arrived: deque[tuple[float, Action]] = deque()
        self._round: deque[tuple[float, Action]] = deque()
        self._is_idle = True

    def call_soon(self, seconds: float, action: Action) -> None:
        """Works for so long in the next round, then acts."""
        self._soon.append((seconds, action))
        self._wake()

    def arrive(self, seconds: float, action: Action) -> None:
        """The same, for what is read from a socket."""
        self._arrived.append((seconds, action))
        self._wake()

    def _wake(self) -> None:
        if self._is_idle:
            self._is_idle = False
            self._clock.after(0.0, self._run)  # after all that arrives at this moment

    def _run(self) -> None:
        while True:
            if not self._round:
                self._round = self._soon + self._arrived
                self._soon.clear()
                self._arrived.clear()
            if not self._round:
                self._is_idle = True
                return
            seconds, action = self._round.popleft()
            if seconds:
                self._cores.run("service", seconds, partial(self._end, action))
                return
            action()

    def _end(self, action: Action) -> None:
        action()
        self._run()
