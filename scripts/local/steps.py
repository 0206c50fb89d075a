"""Progress for people: one line a step, with its time; a spinner while it runs in a terminal."""

import time
from collections.abc import Iterator
from contextlib import contextmanager

from rich.console import Console


class Steps:
    """Shows steps on standard error, so that standard output keeps what others may want to read."""

    def __init__(self) -> None:
        self._console = Console(stderr=True, highlight=False, soft_wrap=True)

    @contextmanager
    def step(self, what: str) -> Iterator[None]:
        """Show a step while it runs and its time when it is done."""
        started = time.monotonic()
        if self._console.is_terminal:
            with self._console.status(f"{what} …"):
                yield
        else:
            self._console.print(f"… {what}", markup=False)
            yield
        self._console.print(f"✓ {what} ({time.monotonic() - started:.1f} s)", markup=False)

    def say(self, what: str) -> None:
        """Show a line."""
        self._console.print(what, markup=False)

    def fail(self, what: str) -> None:
        """Show an error."""
        self._console.print(f"✗ {what}", style="red", markup=False)
