"""What `make run` shows: its steps, and a delivery to try."""

import shlex
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from rich.console import Console

from supatoss.toss.delivery import SIGNATURE_HEADER, TIME_HEADER
from supatoss.toss.samples import SampleSubject, make_body, to_bytes
from supatoss.toss.signature import sign_hex


class Steps:
    """Progress on standard error: one line for each step with its time, and a spinner in a terminal."""

    def __init__(self) -> None:
        self._console = Console(stderr=True, highlight=False, soft_wrap=True)

    @contextmanager
    def step(self, what: str) -> Iterator[None]:
        """Show a step while it runs, and its time when it is done."""
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


@dataclass(frozen=True)
class SampleDelivery:
    """A signed delivery of one card payment that is DONE; every sample is a new payment."""

    order_id: str
    transmission_time: str
    body: str

    @classmethod
    def new(cls) -> "SampleDelivery":
        """A delivery of an event that happens now."""
        subject = SampleSubject.new()
        body = make_body("PAYMENT_STATUS_CHANGED", subject)
        kept = ("paymentKey", "orderId", "orderName", "status", "method", "currency", "totalAmount", "approvedAt")
        body["data"] = {name: body["data"][name] for name in kept}  # short enough for one screen
        return cls(subject.order_id, subject.with_offset, to_bytes(body).decode())

    def curl(self, webhook_url: str, toss_secret_key: str) -> str:
        """The delivery as a shell command, with the hex signature of the merchant guide."""
        headers = {
            "Content-Type": "application/json; charset=utf-8",
            TIME_HEADER: self.transmission_time,
            SIGNATURE_HEADER: sign_hex(self.body.encode(), self.transmission_time, toss_secret_key),
        }
        parts = ["curl", "-sS", webhook_url]
        for name, value in headers.items():
            parts += ["-H", f"{name}: {value}"]
        return shlex.join([*parts, "--data-binary", self.body])
