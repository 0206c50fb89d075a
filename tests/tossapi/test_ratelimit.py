"""How often Toss is asked, on a clock that tests move."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from supatoss.toss.ratelimit import (
    KNOWN,
    RECONCILE,
    STRANGER,
    TOSS,
    WINDOW_SECONDS,
    WORKER,
    Purpose,
    TokenBucket,
)


class Clock:
    now = 50.0

    def __call__(self) -> float:
        return self.now


def test_all_tokens_are_there_at_once_and_none_more() -> None:
    clock = Clock()
    bucket = TokenBucket(3, clock=clock)
    assert [bucket.take() for _ in range(3)] == [0, 0, 0]
    assert bucket.take() == WINDOW_SECONDS


def test_a_token_comes_back_a_window_after_its_use() -> None:
    clock = Clock()
    bucket = TokenBucket(2, window_seconds=60, clock=clock)
    bucket.take()
    clock.now += 10
    bucket.take()
    clock.now += 45
    assert bucket.take() == 5
    clock.now += 5
    assert bucket.take() == 0
    assert bucket.take() == 10


def test_what_is_refused_takes_no_token() -> None:
    clock = Clock()
    bucket = TokenBucket(1, window_seconds=60, clock=clock)
    bucket.take()
    assert [bucket.take() for _ in range(50)] == [60] * 50
    clock.now += 60
    assert bucket.take() == 0


@pytest.mark.parametrize("tokens", [1, 7, 100])
def test_no_window_holds_more_uses_than_tokens(tokens: int) -> None:
    clock = Clock()
    bucket = TokenBucket(tokens, window_seconds=60, clock=clock)
    uses = []
    for step in range(5 * tokens):
        clock.now += (step % 5) * 20 / tokens
        if bucket.take() == 0:
            uses.append(clock.now)
    assert len(uses) > tokens
    assert all(later - earlier >= 60 - 1e-6 for earlier, later in zip(uses, uses[tokens:], strict=False))


SERVICE = (STRANGER, KNOWN, TOSS, WORKER, RECONCILE)


@given(st.lists(st.tuples(st.sampled_from(SERVICE), st.floats(0, 5)), max_size=400))
def test_whatever_each_purpose_does_all_together_keep_to_the_minute(steps: list[tuple[Purpose, float]]) -> None:
    clock = Clock()
    bucket = TokenBucket(20, window_seconds=60, clock=clock)
    uses = []
    for purpose, seconds in steps:
        clock.now += seconds
        if bucket.take(purpose) == 0:
            uses.append(clock.now)
    assert all(later - earlier >= 60 - 1e-6 for earlier, later in zip(uses, uses[20:], strict=False))


def used_up(bucket: TokenBucket, purpose: Purpose) -> int:
    """Takes what a purpose may: how many."""
    taken = 0
    while bucket.take(purpose) == 0:
        taken += 1
    return taken


@pytest.mark.parametrize(
    ("order", "taken"),
    [
        ((STRANGER, KNOWN, TOSS, WORKER, RECONCILE), [30, 40, 10, 10, 10]),
        ((TOSS, STRANGER, KNOWN, RECONCILE, WORKER), [80, 0, 0, 10, 10]),
        ((RECONCILE, WORKER, STRANGER, KNOWN, TOSS), [60, 20, 0, 0, 0]),
    ],
)
def test_a_flood_leaves_those_before_it_their_share(order: tuple[Purpose, ...], taken: list[int]) -> None:
    bucket = TokenBucket(100, clock=Clock())
    assert [used_up(bucket, purpose) for purpose in order] == taken
