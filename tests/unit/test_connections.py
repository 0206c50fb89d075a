"""The limits of connections, without sockets: who is let in, who makes room, and what is held."""

from pathlib import Path

import pytest

from supatoss.connections import FREE_BODY_BYTES, LOG_SECONDS, Connections, Limits, Refusal
from supatoss.machine import memory_bytes, raise_file_limit

KIB = 1024
MIB = 1024 * KIB


class Peer:
    """A connection that only notes why it was closed."""

    def __init__(self) -> None:
        self.held_bytes = 0
        self.refused: list[Refusal] = []

    def refuse(self, refusal: Refusal) -> None:
        self.refused.append(refusal)


class Server:
    """Connections of which some are awaited."""

    def __init__(self, *, connections: int = 10, of_address: int = 3, bodies_bytes: int = 100 * KIB) -> None:
        self.now = 0.0
        self.connections = Connections(Limits(connections, of_address, bodies_bytes), lambda: self.now)

    def connect(self, address: str = "127.0.0.1", *, held: int = 0, is_complete: bool = False) -> Peer:
        peer = Peer()
        refusal = self.connections.admit(peer, address)
        if refusal:
            peer.refuse(refusal)
            return peer
        self.connections.awaits(peer)
        if held:
            self.connections.hold(peer, held)
        if is_complete:
            self.connections.arrived(peer)
        return peer


def test_the_connection_that_has_been_waited_for_longest_makes_room() -> None:
    server = Server(connections=3)
    busy = server.connect(is_complete=True)
    first, second = server.connect(), server.connect()
    server.connections.awaits(first)  # it sends its next request
    third = server.connect()
    assert [peer.refused for peer in (busy, first, second, third)] == [[], [], [Refusal.DISPLACED], []]
    assert len(server.connections) == 3


def test_nobody_makes_room_for_a_newcomer_while_all_are_served() -> None:
    server = Server(connections=2)
    busy = [server.connect(is_complete=True) for _ in range(2)]
    assert server.connect().refused == [Refusal.TOO_MANY]
    assert [peer.refused for peer in busy] == [[], []]
    server.connections.leave(busy[0])
    assert server.connect().refused == []


@pytest.mark.parametrize(
    ("addresses", "is_limited"),
    [
        (["8.8.8.8"] * 4, True),
        (["::ffff:8.8.8.8", "8.8.8.8", "8.8.8.8", "8.8.8.8"], True),
        ([f"2606:4700:0:1::{number}" for number in range(4)], True),
        ([f"2606:4700:0:{number}::1" for number in range(4)], False),
        ([f"8.8.8.{number}" for number in range(4)], False),
        (["172.16.5.2"] * 4, False),
        (["fdaa::3"] * 4, False),
        (["127.0.0.1"] * 4, False),
        (["a unix socket"] * 4, False),
    ],
)
def test_a_public_address_has_its_share_and_a_proxy_nearby_has_all(addresses: list[str], is_limited: bool) -> None:
    server = Server()
    peers = [server.connect(address, is_complete=True) for address in addresses]
    assert [peer.refused for peer in peers] == [[], [], [], [Refusal.TOO_MANY_OF_ADDRESS] if is_limited else []]
    server.connections.leave(peers[0])
    assert server.connect(addresses[0]).refused == []


def test_large_bodies_share_a_budget_and_the_oldest_unfinished_one_makes_room() -> None:
    server = Server(bodies_bytes=100 * KIB)
    complete = server.connect(held=48 * KIB + FREE_BODY_BYTES, is_complete=True)
    small = server.connect(held=FREE_BODY_BYTES)
    oldest, newer = (server.connect(held=20 * KIB + FREE_BODY_BYTES) for _ in range(2))
    assert server.connections.bodies_bytes == 88 * KIB
    newest = server.connect(held=20 * KIB + FREE_BODY_BYTES)
    assert [peer.refused for peer in (complete, small, newer, newest)] == [[], [], [], []]
    assert oldest.refused == [Refusal.BODIES_TOO_LARGE]
    assert server.connections.bodies_bytes == 88 * KIB
    for peer in (complete, small, newer, newest):
        server.connections.release(peer)
    assert server.connections.bodies_bytes == 0


def test_a_body_too_many_is_refused_where_all_others_are_complete() -> None:
    server = Server(bodies_bytes=100 * KIB)
    complete = server.connect(held=90 * KIB, is_complete=True)
    newest = server.connect(held=90 * KIB)
    assert (complete.refused, newest.refused) == ([], [Refusal.BODIES_TOO_LARGE])
    assert server.connect(held=FREE_BODY_BYTES).refused == []
    assert len(server.connections) == 2


def test_what_is_left_twice_is_counted_once() -> None:
    server = Server()
    peer = server.connect("8.8.8.8", held=20 * KIB)
    for _ in range(2):
        server.connections.leave(peer)
    assert (len(server.connections), server.connections.bodies_bytes) == (0, 0)
    assert [server.connect("8.8.8.8").refused for _ in range(3)] == [[], [], []]


def test_each_kind_of_refusal_is_logged_once_in_a_while(capsys: pytest.CaptureFixture[str]) -> None:
    server = Server()
    for _ in range(3):
        server.connections.refused(Refusal.DISPLACED, "10.0.0.1")
    server.connections.refused(Refusal.TOO_MANY, "10.0.0.2")
    server.now += LOG_SECONDS
    server.connections.refused(Refusal.DISPLACED, "10.0.0.3")
    lines = [line for line in capsys.readouterr().out.splitlines() if "connection refused" in line]
    assert ["too_many_connections" in line for line in lines] == [False, True, False]
    assert "connections=3" in lines[-1]


@pytest.mark.parametrize(
    ("files", "expected"),
    [
        ({"sys/fs/cgroup/memory.max": "268435456\n", "proc/meminfo": "MemTotal: 8000000 kB\n"}, 256 * MIB),
        ({"sys/fs/cgroup/memory.max": "max\n", "proc/meminfo": "MemFree: 1 kB\nMemTotal: 220000 kB\n"}, 220_000 * KIB),
        (
            {
                "sys/fs/cgroup/memory/memory.limit_in_bytes": "9223372036854771712",
                "proc/meminfo": "MemTotal:  1024 kB\n",
            },
            MIB,
        ),
        ({}, None),
    ],
)
def test_the_memory_is_the_containers_or_the_machines(
    tmp_path: Path, files: dict[str, str], expected: int | None
) -> None:
    for name, text in files.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text)
    assert memory_bytes(str(tmp_path)) == expected


def test_the_limits_are_those_of_the_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("supatoss.connections.raise_file_limit", lambda _wanted: 1024)
    monkeypatch.setattr("supatoss.connections.memory_bytes", lambda: 256 * MIB)
    assert Limits.of_machine(3000, 0, is_behind_proxy=False) == Limits(896, 224, 16 * MIB)
    assert Limits.of_machine(100, 5 * MIB, is_behind_proxy=True) == Limits(100, 0, 5 * MIB)
    monkeypatch.setattr("supatoss.connections.memory_bytes", lambda: 64 * 1024 * MIB)
    assert Limits.of_machine(100, 0, is_behind_proxy=True).bodies_bytes == 64 * MIB


@pytest.mark.parametrize(
    ("soft", "hard", "wanted", "after"),
    [
        (1024, 4096, 3128, 3128),
        (1024, 2048, 3128, 2048),
        (8192, 8192, 3128, 8192),
        (1024, -1, 3128, 3128),
        (-1, -1, 9, 9),
    ],
)
def test_the_limit_of_files_is_raised_as_far_as_it_may_be(
    monkeypatch: pytest.MonkeyPatch, soft: int, hard: int, wanted: int, after: int
) -> None:
    monkeypatch.setattr("resource.getrlimit", lambda _what: (soft, hard))
    monkeypatch.setattr("resource.setrlimit", lambda _what, limits: raised.append(limits))
    raised: list[tuple[int, int]] = []
    assert raise_file_limit(wanted) == after
    assert raised == ([(after, hard)] if -1 < soft < after else [])
