"""Idempotency keys: the first answer again, byte for byte, errors too.

Source: docs.tosspayments.com, idempotency keys. The body of the request is not part of the comparison.
"""

import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from scripts.emulator.errors import TossError

MAX_KEY_LENGTH = 300
VALID_SECONDS = 15 * 24 * 3600.0

Scope = tuple[str, str, str, str]
"""Key, API key, path and method."""

Answer = tuple[int, bytes]


@dataclass
class _First:
    began_at: float
    answer: Answer | None = None


class Idempotency:
    """The first answers of the last fifteen days."""

    def __init__(self) -> None:
        self._first: dict[Scope, _First] = {}

    async def once(self, scope: Scope, perform: Callable[[], Awaitable[Answer]]) -> tuple[Answer, bool]:
        """Performs a request or repeats its first answer; the second value says which."""
        if len(scope[0]) > MAX_KEY_LENGTH:
            raise TossError("INVALID_IDEMPOTENCY_KEY")
        first = self._first.get(scope)
        if first is None or time.monotonic() - first.began_at > VALID_SECONDS:
            first = self._first[scope] = _First(time.monotonic())
            try:
                first.answer = await perform()
            finally:
                if first.answer is None:
                    self._first.pop(scope, None)
            return first.answer, False
        if first.answer is None:
            raise TossError("IDEMPOTENT_REQUEST_PROCESSING")
        return first.answer, True

    def reset(self) -> None:
        """Forgets everything."""
        self._first.clear()
