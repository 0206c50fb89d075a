"""What `make run` shows while it starts."""

import time
from collections.abc import Iterator
from contextlib import contextmanager

from rich.console import Console


class Steps:
    """Progress on standard error: one line for each step with its time, and a spinner in a terminal."""

    def __init__(self) -> None:
        self._console = Console(stderr=True, highlight=False, soft_wrap=True)
        self._spins = self._console.is_terminal

    @contextmanager
    def step(self, what: str) -> Iterator[None]:
        """Show a step while it runs, and its duration when it is done."""
        started = time.monotonic()
        if self._spins:
            with self._console.status(f"{what} …"):
                yield
        else:
            self._console.print(f"… {what}", markup=False)
            yield
        self._console.print(f"✓ {what} ({time.monotonic() - started:.1f} s)", markup=False)

    def share_terminal(self) -> None:
        """No spinners from now on: other processes write here too, and a spinner would end up inside their lines."""
        self._spins = False

    def say(self, what: str) -> None:
        """Show a line."""
        self._console.print(what, markup=False)

    def warn(self, what: str) -> None:
        """Show a warning."""
        self._console.print(f"! {what}", style="yellow", markup=False)

    def fail(self, what: str) -> None:
        """Show an error."""
        self._console.print(f"✗ {what}", style="red", markup=False)
