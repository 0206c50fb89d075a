"""What outsiders can make the server hold: connections, and bytes of bodies. Each has a limit.

A full server doesn't turn newcomers away while somebody keeps it waiting: of the connections whose request is not
complete, the one that has been waited for longest makes room. A delivery from Toss arrives whole within moments, so a
flood of idle connections or unfinished bodies displaces itself and not the deliveries.
"""

import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from typing import Protocol

import structlog

from supatoss.addresses import network_of, parse_address
from supatoss.machine import memory_bytes, raise_file_limit
from supatoss.telemetry import REFUSED_CONNECTIONS

KIB = 1024

OWN_FILES = 128
"""Files that stay free for calls of the Data API and of Toss, name look-ups, logs and the listening sockets."""

SHARE_OF_ADDRESS = 4
"""One address gets a quarter of all connections: Toss sends from several, and a neighbour is not turned away."""

SHARE_OF_MEMORY = 16
"""Bodies get a sixteenth of the memory: a body that is being recorded takes several times its size."""

MAX_BODIES_BYTES = 64 * KIB * KIB
"""On large machines: more than a thousand of the largest unsigned bodies at once."""

UNKNOWN_MEMORY_BYTES = 256 * KIB * KIB
"""Where the machine doesn't say: the smallest one that the service is made for."""

FREE_BODY_BYTES = 8 * KIB
"""Of each body, not counted, so that no flood of large bodies takes the room of Toss's: the longest documented one is
about 4 KiB."""

LOG_SECONDS = 10.0
"""Between two log lines about the same kind of refusal."""

_log = structlog.get_logger("supatoss.server")


class Refusal(StrEnum):
    """Why the server closed a connection by itself: log field and metric label."""

    TOO_MANY = "too_many_connections"
    TOO_MANY_OF_ADDRESS = "too_many_of_address"
    DISPLACED = "displaced"
    BODIES_TOO_LARGE = "bodies_too_large"
    HEAD_TOO_LARGE = "head_too_large"
    HEAD_TOO_SLOW = "head_too_slow"
    BODY_TOO_SLOW = "body_too_slow"
    ANSWER_NOT_READ = "answer_not_read"
    PIPELINED = "pipelined"
    MALFORMED = "malformed"


for _refusal in Refusal:
    REFUSED_CONNECTIONS.labels(_refusal.value)  # Prometheus only sees the first one if there was a zero before.


@dataclass(frozen=True, slots=True)
class Limits:
    """connections: in all. of_address: from one public address, 0: any number. bodies_bytes: of all bodies together."""

    connections: int = 3000
    of_address: int = 750
    bodies_bytes: int = 16 * KIB * KIB

    @classmethod
    def of_machine(cls, connections: int, bodies_bytes: int, *, is_behind_proxy: bool) -> "Limits":
        """As much as is wanted and the machine gives; raises the process's limit of open files.

        bodies_bytes: 0 for a share of the memory. Behind a proxy every connection comes from the proxy's address.
        """
        files = raise_file_limit(connections + OWN_FILES)
        connections = min(connections, max(1, files - OWN_FILES))
        memory = memory_bytes() or UNKNOWN_MEMORY_BYTES
        return cls(
            connections,
            0 if is_behind_proxy else max(1, connections // SHARE_OF_ADDRESS),
            bodies_bytes or min(memory // SHARE_OF_MEMORY, MAX_BODIES_BYTES),
        )

    def log(self, wanted: int) -> None:
        """Says what they are; a warning where the machine gives fewer connections than are wanted."""
        say = _log.info if self.connections >= wanted else _log.warning
        say("limits", connections=self.connections, of_address=self.of_address, bodies_bytes=self.bodies_bytes)


class Connection(Protocol):
    """A connection of the server, as its limits see it."""

    held_bytes: int
    """Of its body."""

    def refuse(self, refusal: Refusal) -> None:
        """Closes it, with an answer if none has begun."""


class Connections:
    """All connections of a server within its limits. `clock` in seconds."""

    def __init__(self, limits: Limits, clock: Callable[[], float] = time.monotonic) -> None:
        self.limits = limits
        self._refusals = _Refusals(clock)
        self._addresses: dict[Connection, str] = {}
        self._of_address: Counter[str] = Counter()
        self._awaited: dict[Connection, None] = {}
        self._large: dict[Connection, None] = {}
        self.bodies_bytes = 0

    def __len__(self) -> int:
        return len(self._addresses)

    def refused(self, refusal: Refusal, peer: str) -> None:
        """Counts and logs a connection that was refused."""
        self._refusals.note(refusal, peer)

    def admit(self, connection: Connection, peer: str) -> Refusal | None:
        """Takes a new connection in, or says why not."""
        address = _network_of(peer) if self.limits.of_address else ""
        if address and self._of_address[address] >= self.limits.of_address:
            return Refusal.TOO_MANY_OF_ADDRESS
        if len(self._addresses) >= self.limits.connections and not self._displace(self._awaited):
            return Refusal.TOO_MANY
        self._addresses[connection] = address
        if address:
            self._of_address[address] += 1
        return None

    def leave(self, connection: Connection) -> None:
        """The connection is closed."""
        self.arrived(connection)
        self.release(connection)
        address = self._addresses.pop(connection, "")
        if address:
            self._of_address[address] -= 1
            if not self._of_address[address]:
                del self._of_address[address]

    def awaits(self, connection: Connection) -> None:
        """From now on the connection has no request in hand, or not all of one."""
        if connection in self._addresses:
            self._awaited.pop(connection, None)
            self._awaited[connection] = None

    def arrived(self, connection: Connection) -> None:
        """A request has arrived whole."""
        self._awaited.pop(connection, None)
        self._large.pop(connection, None)

    def hold(self, connection: Connection, size: int) -> None:
        """More bytes of a body; what is beyond the limit displaces the oldest unfinished body, or is refused itself."""
        before = max(0, connection.held_bytes - FREE_BODY_BYTES)
        connection.held_bytes += size
        counted = max(0, connection.held_bytes - FREE_BODY_BYTES)
        self.bodies_bytes += counted - before
        if counted and connection in self._awaited:
            self._large.setdefault(connection)
        while self.bodies_bytes > self.limits.bodies_bytes:
            if not self._displace(self._large, Refusal.BODIES_TOO_LARGE):
                if connection.held_bytes:
                    connection.refuse(Refusal.BODIES_TOO_LARGE)
                    self.leave(connection)
                return

    def release(self, connection: Connection) -> None:
        """The body is no longer needed."""
        self.bodies_bytes -= max(0, connection.held_bytes - FREE_BODY_BYTES)
        connection.held_bytes = 0

    def _displace(self, candidates: dict[Connection, None], refusal: Refusal = Refusal.DISPLACED) -> bool:
        for oldest in candidates:
            oldest.refuse(refusal)
            self.leave(oldest)
            return True
        return False


class _Refusals:
    """Counts every refusal, and logs each kind at most once in LOG_SECONDS."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._logged_at: dict[Refusal, float] = {}
        self._since: Counter[Refusal] = Counter()

    def note(self, refusal: Refusal, peer: str) -> None:
        REFUSED_CONNECTIONS.labels(refusal.value).inc()
        self._since[refusal] += 1
        now = self._clock()
        if now - self._logged_at.get(refusal, float("-inf")) >= LOG_SECONDS:
            _log.warning("connection refused", reason=refusal.value, connections=self._since[refusal], last_peer=peer)
            self._logged_at[refusal] = now
            self._since[refusal] = 0


def _network_of(peer: str) -> str:
    """What one sender has. Empty where the peer is not public: a proxy."""
    address = parse_address(peer)
    return network_of(address) if address and address.is_global else ""
