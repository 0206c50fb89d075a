"""When to try again. Pure: the caller brings the dice."""

MAX_ATTEMPTS = 12
"""The first eleven waits add up to about three hours: longer than an outage of Toss that its status page ever showed
would keep a buyer waiting, and short enough that a person hears of it on the same day."""

FIRST_DELAY_SECONDS = 5.0
MAX_DELAY_SECONDS = 3600.0


def next_delay_seconds(attempts: int, dice: float, at_least_seconds: float = 0.0) -> float | None:
    """Seconds until the next attempt after so many, None when there is to be none.

    Doubles from 5 s to an hour. `dice` in [0, 1) spreads it over the upper half, so that events that failed together do
    not come back together. `at_least_seconds` is what Toss asked for (Retry-After).
    """
    if attempts >= MAX_ATTEMPTS:
        return None
    delay: float = min(FIRST_DELAY_SECONDS * 2.0 ** max(attempts - 1, 0), MAX_DELAY_SECONDS)
    return max(delay * (0.5 + dice / 2), at_least_seconds)
