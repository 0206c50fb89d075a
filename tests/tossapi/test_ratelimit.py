"""How often Toss is asked, on a clock that tests move."""

import pytest

from supatoss.toss.ratelimit import WINDOW_SECONDS, TokenBucket


class Clock:
    now = 50.0

    def __call__(self) -> float:
        return self.now


def test_all_tokens_are_there_at_once_and_none_more() -> None:
    clock = Clock()
    bucket = TokenBucket(3, clock=clock)
    assert [bucket.take(0) for _ in range(3)] == [0, 0, 0]
    assert bucket.take(3) == WINDOW_SECONDS


def test_a_token_comes_back_a_window_after_its_use() -> None:
    clock = Clock()
    bucket = TokenBucket(2, window_seconds=60, clock=clock)
    bucket.take(0)
    clock.now += 10
    bucket.take(0)
    clock.now += 45
    assert bucket.take(4) == 5
    assert bucket.take(5) == 5
    assert bucket.take(15) == 15


def test_what_is_refused_takes_no_token() -> None:
    clock = Clock()
    bucket = TokenBucket(1, window_seconds=60, clock=clock)
    bucket.take(0)
    assert [bucket.take(1) for _ in range(50)] == [60] * 50
    clock.now += 60
    assert bucket.take(0) == 0


@pytest.mark.parametrize("tokens", [1, 7, 100])
def test_no_window_holds_more_uses_than_tokens(tokens: int) -> None:
    clock = Clock()
    bucket = TokenBucket(tokens, window_seconds=60, clock=clock)
    uses = []
    for step in range(5 * tokens):
        clock.now += (step % 5) * 20 / tokens
        if (wait := bucket.take(20)) <= 20:
            uses.append(clock.now + wait)
    assert len(uses) > tokens
    assert all(later - earlier >= 60 - 1e-6 for earlier, later in zip(uses, uses[tokens:], strict=False))
