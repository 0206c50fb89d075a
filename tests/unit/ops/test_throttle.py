"""Guesses are paced, and nobody is locked out: time is what these tests say it is."""

import asyncio
from collections.abc import Callable

import pytest

from supatoss.ops.throttle import (
    GUESSES_IN_TOTAL,
    GUESSES_PER_DEVICE,
    LONGEST_PAUSE_SECONDS,
    MAX_KEYS,
    MAX_WAIT_SECONDS,
    MAX_WAITING,
    WINDOW_SECONDS,
    Throttle,
)

pytestmark = pytest.mark.anyio

OPERATOR, STRANGER = "203.0.113.7", "198.51.100.1"


class Call:
    def __init__(self, at: float, call: Callable[[], None]) -> None:
        self.at, self.call, self.is_off = at, call, False

    def cancel(self) -> None:
        self.is_off = True


class Times:
    """A clock that moves on request, and what is to be called then."""

    def __init__(self) -> None:
        self.now = 1000.0
        self.calls: list[Call] = []

    def later(self, seconds: float, call: Callable[[], None]) -> Call:
        put_off = Call(self.now + seconds, call)
        self.calls.append(put_off)
        return put_off

    async def settle(self) -> None:
        for _ in range(10):
            await asyncio.sleep(0)

    async def advance(self, seconds: float) -> None:
        until = self.now + seconds
        await self.settle()
        while due := sorted((c for c in self.calls if c.at <= until and not c.is_off), key=lambda c: c.at):
            self.calls.remove(due[0])
            self.now = max(self.now, due[0].at)
            due[0].call()
            await self.settle()
        self.now = until


class Door:
    """The throttle with people before it."""

    def __init__(self) -> None:
        self.times = Times()
        self.throttle = Throttle(lambda: self.times.now, self.times.later)
        self.looked_at: list[str] = []

    async def _guess(self, address: str, device: str, is_right: bool) -> bool:
        async with self.throttle.attempt(address, device) as attempt:
            if not attempt.is_sent_away:
                self.looked_at.append(device or address)
                attempt.is_right = is_right
        return not attempt.is_sent_away

    def guess(self, address: str, device: str = "", *, is_right: bool = False) -> asyncio.Task[bool]:
        return asyncio.create_task(self._guess(address, device, is_right))

    async def guess_and_wait(self, address: str, device: str = "", *, is_right: bool = False) -> float:
        """Seconds until the password was looked at."""
        began = self.times.now
        task = self.guess(address, device, is_right=is_right)
        while not task.done():
            await self.times.advance(0.25)
        assert task.result()
        return self.times.now - began


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture
async def door() -> Door:
    return Door()


async def test_whoever_mistypes_hardly_waits(door: Door) -> None:
    waits = [await door.guess_and_wait(OPERATOR) for _ in range(5)]
    assert max(waits) < 1
    assert await door.guess_and_wait(OPERATOR, is_right=True) < 1


async def test_guesses_that_go_on_slow_down_to_720_an_hour(door: Door) -> None:
    for number in range(GUESSES_IN_TOTAL * 3):
        await door.guess_and_wait(f"198.51.100.{number % 12}")
    waits = [await door.guess_and_wait(STRANGER) for _ in range(20)]
    assert min(waits) > LONGEST_PAUSE_SECONDS * 0.9
    assert max(waits) <= LONGEST_PAUSE_SECONDS + 0.25


async def test_sixty_wrong_passwords_from_twelve_addresses_lock_nobody_out(door: Door) -> None:
    for number in range(60):
        await door.guess_and_wait(f"198.51.100.{number % 12}")
    assert await door.guess_and_wait(OPERATOR, is_right=True) <= LONGEST_PAUSE_SECONDS + 0.25


async def test_the_operator_is_served_before_a_queue_of_guessers(door: Door) -> None:
    for number in range(60):
        await door.guess_and_wait(f"198.51.100.{number % 12}")
    guesses = [door.guess(f"198.51.100.{number % 12}") for number in range(100)]
    await door.times.settle()
    mine = door.guess(OPERATOR, is_right=True)
    await door.times.advance(LONGEST_PAUSE_SECONDS)
    assert mine.done()
    assert mine.result()
    await door.times.advance(MAX_WAIT_SECONDS)
    assert all(task.done() for task in guesses)


async def test_behind_the_same_proxy_the_operator_waits_and_gets_in(door: Door) -> None:
    for _ in range(200):
        await door.guess_and_wait("10.0.0.1")
    assert await door.guess_and_wait("10.0.0.1", is_right=True) <= LONGEST_PAUSE_SECONDS + 0.25


async def test_a_known_device_waits_for_nobody(door: Door) -> None:
    for _ in range(60):
        await door.guess_and_wait("10.0.0.1")
    crowd = [door.guess("10.0.0.1") for _ in range(100)]
    await door.times.settle()
    mine = door.guess("10.0.0.1", "device", is_right=True)
    await door.times.settle()
    assert mine.result()
    await door.times.advance(MAX_WAIT_SECONDS)
    assert all(task.done() for task in crowd)


async def test_a_stolen_device_cookie_gives_a_few_guesses_and_takes_nothing_from_others(door: Door) -> None:
    tries = [door.guess(STRANGER, "stolen") for _ in range(GUESSES_PER_DEVICE)]
    await door.times.settle()
    assert all(task.result() for task in tries)
    for _ in range(20):
        await door.guess_and_wait(STRANGER)
    before = len(door.looked_at)
    tries = [door.guess(STRANGER, "stolen")]
    await door.times.settle()
    assert len(door.looked_at) == before  # it waits like a stranger
    await door.times.advance(LONGEST_PAUSE_SECONDS)
    assert len(door.looked_at) == before + 1
    door.times.now += WINDOW_SECONDS
    tries.append(door.guess(STRANGER, "stolen"))
    await door.times.settle()
    assert len(door.looked_at) == before + 2


async def test_the_right_password_starts_afresh(door: Door) -> None:
    for _ in range(GUESSES_PER_DEVICE - 1):
        await door.guess_and_wait(OPERATOR, "device")
    await door.guess_and_wait(OPERATOR, "device", is_right=True)
    for _ in range(GUESSES_PER_DEVICE):
        assert await door.guess_and_wait(OPERATOR, "device") == 0.25


async def test_the_queue_is_short_and_the_wait_in_it_too(door: Door) -> None:
    async with door.throttle.attempt(STRANGER):
        crowd = [door.guess(STRANGER) for _ in range(MAX_WAITING * 3)]
        await door.times.settle()
        sent_away = [task for task in crowd if task.done()]
        assert len(sent_away) == MAX_WAITING * 2
        await door.times.advance(MAX_WAIT_SECONDS)
        assert not any(task.result() for task in crowd)
    assert not [call for call in door.times.calls if not call.is_off and call.at < door.times.now]


async def test_one_attempt_is_checked_at_a_time(door: Door) -> None:
    first = door.throttle.attempt(STRANGER)
    assert not (await first.__aenter__()).is_sent_away
    second = door.guess(OPERATOR)
    await door.times.advance(1)
    assert not second.done()
    await first.__aexit__(None, None, None)
    await door.times.advance(1)
    assert second.result()


async def test_a_browser_that_leaves_the_queue_holds_nobody_up(door: Door) -> None:
    first = door.throttle.attempt(STRANGER)
    await first.__aenter__()
    leaver, stayer = door.guess(STRANGER), door.guess(OPERATOR)
    await door.times.settle()
    leaver.cancel()
    await door.times.settle()
    await first.__aexit__(None, None, None)
    await door.times.advance(1)
    assert stayer.result()


async def test_a_browser_that_leaves_when_it_is_its_turn_gives_it_back(door: Door) -> None:
    first = door.throttle.attempt(STRANGER)
    await first.__aenter__()
    leaver = door.guess(OPERATOR)
    await door.times.settle()
    door.throttle._free_at = door.times.now
    door.throttle._is_taken = False
    door.throttle._call_next()  # its turn; before it wakes up, it is cancelled
    leaver.cancel()
    await door.times.settle()
    assert leaver.cancelled()
    assert await door.guess_and_wait(OPERATOR, is_right=True) <= 1


@pytest.mark.parametrize(
    ("one", "other", "are_one"),
    [
        ("2001:db8:1:2::1", "2001:db8:1:2:ffff::1", True),
        ("2001:db8:1:2::1", "2001:db8:1:3::1", False),
        ("203.0.113.7", "::ffff:203.0.113.7", True),
        ("unknown", "", True),
    ],
)
async def test_addresses_of_one_customer_count_as_one(door: Door, one: str, other: str, are_one: bool) -> None:
    for _ in range(3):
        await door.guess_and_wait(one)
    rival = "192.0.2.1" if are_one else one
    async with door.throttle.attempt("192.0.2.2"):
        tries = [door.guess(other), door.guess(rival)]
        await door.times.settle()
    await door.times.advance(2)
    assert all(task.result() for task in tries)
    # Whose address has guessed comes last.
    assert door.looked_at[-1] == (other if are_one else one)


async def test_memory_is_bounded(door: Door) -> None:
    tries = [door.guess(STRANGER, f"device {number}") for number in range(3 * MAX_KEYS)]
    await door.times.settle()
    assert all(task.result() for task in tries)
    assert len(door.throttle._devices._times) <= MAX_KEYS
