"""When deliveries arrive."""

import random
from collections.abc import Callable, Iterator


def steady(rate: float, count: int) -> Iterator[float]:
    """Arrivals at equal distances, as the load generator sends."""
    return (number / rate for number in range(count))


def poisson(rate_at: Callable[[float], float], highest: float, seconds: float, seed: int) -> Iterator[float]:
    """Independent arrivals at a rate that may change, never above `highest`."""
    rng = random.Random(seed)  # noqa: S311 - repeatable on purpose
    moment = rng.expovariate(highest)
    while moment < seconds:
        if rng.random() * highest < rate_at(moment):
            yield moment
        moment += rng.expovariate(highest)


def sale(rate: float, jump: float, begins: float, half_life: float) -> Callable[[float], float]:
    """A rate that jumps when a sale begins, and falls back by half of the excess in every half-life."""

    def rate_at(moment: float) -> float:
        if moment < begins:
            return rate
        excess: float = 0.5 ** ((moment - begins) / half_life)
        return rate * (1 + (jump - 1) * excess)

    return rate_at
