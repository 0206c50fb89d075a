"""The times of the worker's attempts."""

import pytest

from supatoss.inbox.attempt import MAX_ATTEMPTS, MAX_DELAY_SECONDS, next_delay_seconds


def test_the_delay_doubles_up_to_an_hour() -> None:
    delays = [next_delay_seconds(attempts, 1.0) for attempts in range(1, MAX_ATTEMPTS)]
    assert delays == [5.0, 10.0, 20.0, 40.0, 80.0, 160.0, 320.0, 640.0, 1280.0, 2560.0, MAX_DELAY_SECONDS]


def test_there_is_an_end() -> None:
    assert next_delay_seconds(MAX_ATTEMPTS, 0.5) is None


@pytest.mark.parametrize("dice", [0.0, 0.3, 0.999])
def test_the_dice_spread_it_over_the_upper_half(dice: float) -> None:
    delay = next_delay_seconds(3, dice)
    assert delay is not None
    assert 10.0 <= delay <= 20.0


def test_what_toss_asks_for_is_the_least() -> None:
    assert next_delay_seconds(1, 0.0, at_least_seconds=60.0) == 60.0
    assert next_delay_seconds(6, 1.0, at_least_seconds=1.0) == 160.0
