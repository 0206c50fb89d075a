import pytest

from supatoss.ops.sessions import ATTEMPTS_IN_TOTAL, ATTEMPTS_PER_ADDRESS, MAX_ADDRESSES, WINDOW_SECONDS, Throttle


class Clock:
    now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def throttle(clock: Clock) -> Throttle:
    return Throttle(clock)


def test_an_address_waits_after_its_attempts_until_the_first_is_old(throttle: Throttle, clock: Clock) -> None:
    assert [throttle.take("203.0.113.7") for _ in range(ATTEMPTS_PER_ADDRESS)] == [0] * ATTEMPTS_PER_ADDRESS
    clock.now += 100
    assert throttle.take("203.0.113.7") == WINDOW_SECONDS - 100
    clock.now += WINDOW_SECONDS - 100
    assert throttle.take("203.0.113.7") == 0


def test_asking_while_waiting_makes_the_wait_no_longer(throttle: Throttle, clock: Clock) -> None:
    for _ in range(ATTEMPTS_PER_ADDRESS + 50):
        throttle.take("203.0.113.7")
    clock.now += WINDOW_SECONDS
    assert throttle.take("203.0.113.7") == 0


def test_other_addresses_are_not_held_up(throttle: Throttle) -> None:
    for _ in range(ATTEMPTS_PER_ADDRESS + 1):
        throttle.take("203.0.113.7")
    assert throttle.take("203.0.113.8") == 0


def test_many_addresses_share_one_limit(throttle: Throttle, clock: Clock) -> None:
    taken = [throttle.take(f"198.51.100.{number}") for number in range(ATTEMPTS_IN_TOTAL)]
    assert taken == [0] * ATTEMPTS_IN_TOTAL
    assert throttle.take("203.0.113.7") == WINDOW_SECONDS
    clock.now += WINDOW_SECONDS
    assert throttle.take("203.0.113.7") == 0


def test_addresses_of_one_ipv6_customer_count_as_one(throttle: Throttle) -> None:
    for number in range(ATTEMPTS_PER_ADDRESS):
        assert throttle.take(f"2001:db8:1:2::{number}") == 0
    assert throttle.take("2001:db8:1:2:ffff::1") > 0
    assert throttle.take("2001:db8:1:3::1") == 0


def test_an_ipv4_address_written_as_ipv6_is_the_same(throttle: Throttle) -> None:
    for _ in range(ATTEMPTS_PER_ADDRESS):
        throttle.take("203.0.113.7")
    assert throttle.take("::ffff:203.0.113.7") > 0


def test_what_is_no_address_is_one_address(throttle: Throttle) -> None:
    for number in range(ATTEMPTS_PER_ADDRESS):
        assert throttle.take(f"unknown {number}") == 0
    assert throttle.take("") > 0


def test_the_right_password_starts_afresh(throttle: Throttle) -> None:
    for _ in range(ATTEMPTS_PER_ADDRESS):
        throttle.take("203.0.113.7")
    throttle.forgive("203.0.113.7")
    assert throttle.take("203.0.113.7") == 0


def test_memory_is_bounded(throttle: Throttle, clock: Clock) -> None:
    for number in range(3 * MAX_ADDRESSES):
        clock.now += WINDOW_SECONDS / ATTEMPTS_IN_TOTAL
        throttle.take(f"2001:db8:{number:x}::1")
    assert len(throttle._addresses) <= MAX_ADDRESSES
