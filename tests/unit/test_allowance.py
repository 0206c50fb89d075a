"""Uses a minute by name, on a clock that tests move."""

import pytest

from supatoss.inbox.allowance import Allowance, Recent


class Clock:
    now = 50.0

    def __call__(self) -> float:
        return self.now


def uses(allowance: Allowance, name: str = "a") -> int:
    count = 0
    while allowance.has(name):
        allowance.take(name)
        count += 1
    return count


@pytest.mark.parametrize("per_minute", [1, 7, 300])
def test_all_uses_are_there_at_once_and_come_back_one_by_one(per_minute: int) -> None:
    clock = Clock()
    allowance = Allowance(per_minute, clock)
    assert uses(allowance) == per_minute
    clock.now += 60 / per_minute
    assert uses(allowance) == 1
    clock.now += 1000
    assert uses(allowance) == per_minute


def test_names_do_not_share() -> None:
    allowance = Allowance(3, Clock())
    assert (uses(allowance, "a"), uses(allowance, "b")) == (3, 3)


def test_names_are_forgotten_when_they_are_whole_or_too_many() -> None:
    clock = Clock()
    allowance = Allowance(3, clock, max_names=5)
    for number in range(50):
        allowance.take(f"made up {number}")
    assert len(allowance._whole_at) == 5
    clock.now += 61
    allowance.take("a")
    assert list(allowance._whole_at) == ["a"]


def test_what_is_noted_is_held_for_its_time() -> None:
    clock = Clock()
    recent = Recent(60, 3, clock)
    recent.note("a")
    clock.now += 59
    assert recent.holds("a")
    clock.now += 1
    assert not recent.holds("a")
    recent.note("b")
    recent.forget("b")
    assert not recent.holds("b")
    for number in range(10):
        recent.note(f"{number}")
    assert [recent.holds(f"{number}") for number in range(10)] == [False] * 7 + [True] * 3
