"""Several secret keys: in which order they are tried, and which of their errors counts."""

import base64
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from typing import TypeVar

import anyio

from supatoss.errors import TossError, TossMisconfigured, TossNotFound, TossRefused, TossUnavailable

_WEIGHTS = (TossUnavailable, TossMisconfigured, TossRefused, TossNotFound)

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class ApiKey:
    """A secret key, as the header that carries it. name: its place in the list, and its last four characters."""

    name: str
    authorization: str = field(repr=False)
    is_test: bool

    @classmethod
    def of(cls, place: int, secret_key: str) -> "ApiKey":
        """The key is the user name and the password is empty: the colon belongs to it."""
        encoded = base64.b64encode(f"{secret_key}:".encode()).decode("ascii")
        return cls(f"key {place} (…{secret_key[-4:]})", f"Basic {encoded}", secret_key.startswith("test_"))


async def race(
    keys: Sequence[ApiKey],
    ask: Callable[[ApiKey], Awaitable[T]],
    seconds: float,
    fits: Callable[[T], bool] = lambda _answer: True,
) -> T:
    """The first answer that fits: the next key is tried when the one before has failed, or is slow.

    So a key that hangs, is throttled or refused costs the others no more than its share of the time. If no answer
    fits, that of the first key that has one counts, provided that every key could look. Raises TossError.
    """
    problems: list[TossError] = []
    answers: dict[str, T] = {}
    fitting: list[T] = []

    async def run(key: ApiKey, ended: anyio.Event) -> None:
        try:
            answer = answers[key.name] = await ask(key)
        except TossError as error:
            problems.append(error)
        else:
            if fits(answer):
                fitting.append(answer)
                group.cancel_scope.cancel()
        ended.set()

    async with anyio.create_task_group() as group:
        for key in keys:
            ended = anyio.Event()
            group.start_soon(run, key, ended)
            with anyio.move_on_after(max(seconds, 0.0) / len(keys)):
                await ended.wait()
    if fitting:
        return fitting[0]
    if answers and all(isinstance(problem, TossNotFound) for problem in problems):
        return next(answers[key.name] for key in keys if key.name in answers)
    raise weightiest(problems)


def weightiest(problems: Sequence[TossError]) -> TossError:
    """The most useful error: one that a retry may cure, then one of a bad key, then a refusal; else not found."""
    return min(problems, key=lambda error: [not isinstance(error, kind) for kind in _WEIGHTS])
