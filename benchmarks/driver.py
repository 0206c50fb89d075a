"""A cheap load driver: one thread, raw sockets, epoll, prepared requests.

Closed loop: every connection sends its next request after the last answer. Open loop (`--rate`): requests are due at
fixed times, and latency counts from the due time, so that a stall shows in every request it delayed. Prints one JSON
object. Exit status: 0 success, 2 wrong arguments.
"""

import argparse
import gc
import json
import re
import resource
import select
import socket
import sys
import time
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from benchmarks.latency import NO_ANSWER, Report, summarise
from benchmarks.requests import Requests

DRAIN_SECONDS = 12.0
"""To wait for answers after the last request: longer than Toss waits (10 s)."""

RECEIVE_BYTES = 65536

_CONTENT_LENGTH = re.compile(rb"\r\ncontent-length: *(\d+)", re.IGNORECASE)
_STATUS = slice(9, 12)
_CHUNKED_END = b"0\r\n\r\n"


@dataclass(frozen=True, slots=True)
class Load:
    """What to send: `targets` are host:port; connections are shared among them in turn. Bounded in count and time.

    `rate` is requests a second, None for closed loop. `skip`: how many requests of the file were sent already.
    """

    targets: Sequence[tuple[str, int]]
    connections: int
    count: int
    seconds: float
    rate: float | None = None
    skip: int = 0


class Connection:
    """One open connection with at most one request in flight."""

    __slots__ = ("_socket", "_target", "due", "index", "received")

    def __init__(self, target: tuple[str, int]) -> None:
        self._target = target
        self._socket = self._connect()
        self.index = -1
        self.due = 0.0
        self.received = b""

    def fileno(self) -> int:
        """For epoll."""
        return self._socket.fileno()

    def send(self, request: bytes) -> None:
        """Sends a whole request: an idle loopback connection accepts a few kilobytes at once."""
        if self._socket.send(request) != len(request):
            raise BrokenPipeError("the connection did not take a whole request")

    def receive(self) -> int | None:
        """The status of a complete answer, None while incomplete, NO_ANSWER if the connection broke."""
        try:
            data = self._socket.recv(RECEIVE_BYTES)
        except BlockingIOError:
            return None
        except OSError:
            return NO_ANSWER
        if not data:
            return NO_ANSWER
        if self.received:
            data = self.received + data
        self.received = data
        if not is_complete(data):
            return None
        self.received = b""
        return int(data[_STATUS])

    def reopen(self) -> None:
        """Replaces a broken connection."""
        self.close()
        self.received = b""
        self._socket = self._connect()

    def close(self) -> None:
        """Closes the connection."""
        self._socket.close()

    def _connect(self) -> socket.socket:
        opened = socket.create_connection(self._target, timeout=5.0)
        opened.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        opened.setblocking(False)
        return opened


def is_complete(data: bytes) -> bool:
    """Whether these bytes are a whole answer, by content-length or last chunk."""
    head = data.find(b"\r\n\r\n")
    if head < 0:
        return False
    found = _CONTENT_LENGTH.search(data, 0, head)
    if found:
        return len(data) >= head + 4 + int(found[1])
    return data.endswith(_CHUNKED_END)


class Driver:
    """Drives one load to its end. `clock` returns seconds."""

    def __init__(self, load: Load, requests: Requests, clock: Callable[[], float] = time.perf_counter) -> None:
        self._load = load
        self._clock = clock
        self._requests = requests
        self._count = min(load.count, len(requests) - load.skip)
        self._statuses: list[int] = []
        self._latencies: list[float] = []
        self._epoll = select.epoll()
        targets = [load.targets[number % len(load.targets)] for number in range(load.connections)]
        self._free = deque(Connection(target) for target in targets)
        self._by_fd: dict[int, Connection] = {}
        for connection in self._free:
            self._watch(connection)

    def run(self) -> Report:
        """Sends, waits for the answers, and reports."""
        gc.collect()
        gc.disable()
        began_cpu = time.process_time()
        began = last_answer = self._clock()
        end = began + self._load.seconds
        in_flight = 0
        while True:
            now = self._clock()
            in_flight += self._send_due(began, now, end)
            is_over = len(self._statuses) >= self._count or now >= end
            if (is_over and not in_flight) or now > end + DRAIN_SECONDS:
                break
            for fd in self._wait(began, now, end):
                if self._receive(self._by_fd[fd]):
                    in_flight -= 1
                    last_answer = self._clock()
        cpu_seconds = time.process_time() - began_cpu
        gc.enable()
        for connection in self._by_fd.values():
            connection.close()
        return summarise(self._statuses, self._latencies, last_answer - began, cpu_seconds)

    def _send_due(self, began: float, now: float, end: float) -> int:
        """Sends what is due now on free connections; returns how many."""
        rate = self._load.rate
        number = 0
        while self._free and len(self._statuses) < self._count and now < end:
            index = len(self._statuses)
            due = began + index / rate if rate else now
            if due > now:
                break
            connection = self._free.popleft()
            connection.index, connection.due = index, due
            self._statuses.append(NO_ANSWER)
            try:
                connection.send(self._requests[self._load.skip + index])
            except OSError:
                self._replace(connection)
                continue
            number += 1
            if not rate:
                now = self._clock()
        return number

    def _wait(self, began: float, now: float, end: float) -> list[int]:
        """Waits for an answer or until a request is due, to the microsecond; epoll alone rounds up to 1 ms."""
        rate = self._load.rate
        until = end if now < end else end + DRAIN_SECONDS
        if rate and self._free and len(self._statuses) < self._count:
            until = min(until, began + len(self._statuses) / rate)
            select.select([self._epoll], [], [], max(0.0, until - now))
            return [fd for fd, _ in self._epoll.poll(0)]
        return [fd for fd, _ in self._epoll.poll(max(0.0, until - now))]

    def _receive(self, connection: Connection) -> bool:
        """Whether a request ended, answered or not."""
        status = connection.receive()
        if status is None:
            return False
        was_in_flight = connection.index >= 0
        if status == NO_ANSWER or not was_in_flight:  # a server may say why it closes an idle connection
            self._replace(connection)
            return was_in_flight
        self._latencies.append(self._clock() - connection.due)
        self._statuses[connection.index] = status
        connection.index = -1
        self._free.append(connection)
        return True

    def _replace(self, connection: Connection) -> None:
        """Replaces a broken connection."""
        del self._by_fd[connection.fileno()]
        connection.reopen()
        if connection.index >= 0:
            connection.index = -1
            self._free.append(connection)
        self._watch(connection)

    def _watch(self, connection: Connection) -> None:
        self._by_fd[connection.fileno()] = connection
        self._epoll.register(connection, select.EPOLLIN)


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs one load and prints its report."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.driver", description=__doc__)
    parser.add_argument("requests", type=Path, help="file of requests")
    parser.add_argument("--target", action="append", required=True, metavar="HOST:PORT")
    parser.add_argument("--connections", type=int, default=1)
    parser.add_argument("--count", type=int, default=sys.maxsize, help="maximum number of requests")
    parser.add_argument("--skip", type=int, default=0, help="requests of the file to skip")
    parser.add_argument("--seconds", type=float, default=10.0, help="maximum time to send")
    parser.add_argument("--rate", type=float, help="requests a second, open loop")
    options = parser.parse_args(arguments)
    targets = [(host, int(port)) for host, _, port in (text.rpartition(":") for text in options.target)]
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, min(hard, options.connections + 64)), hard))
    load = Load(targets, options.connections, options.count, options.seconds, options.rate, options.skip)
    report = Driver(load, Requests(options.requests)).run()
    print(json.dumps(report.to_json()))
    return 0


if __name__ == "__main__":
    sys.exit(main())
