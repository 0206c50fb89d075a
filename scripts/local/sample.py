"""A signed delivery to try by hand: one card payment that is DONE."""

import shlex
from dataclasses import dataclass

from supatoss.toss.delivery import SIGNATURE_HEADER, TIME_HEADER
from supatoss.toss.samples import SampleSubject, make_body, to_bytes
from supatoss.toss.signature import sign_hex


@dataclass(frozen=True)
class SampleDelivery:
    """A delivery as Toss sends it; every sample is another payment."""

    order_id: str
    transmission_time: str
    body: str

    @classmethod
    def new(cls) -> "SampleDelivery":
        """A delivery of an event of this moment."""
        subject = SampleSubject.new()
        body = make_body("PAYMENT_STATUS_CHANGED", subject)
        kept = ("paymentKey", "orderId", "orderName", "status", "method", "currency", "totalAmount", "approvedAt")
        body["data"] = {name: body["data"][name] for name in kept}  # short enough to read on one screen
        return cls(subject.order_id, subject.with_offset, to_bytes(body).decode())

    def curl(self, webhook_url: str, toss_secret_key: str) -> str:
        """The delivery as one line for a shell, signed in the form of the guide."""
        headers = {
            "Content-Type": "application/json; charset=utf-8",
            TIME_HEADER: self.transmission_time,
            SIGNATURE_HEADER: sign_hex(self.body.encode(), self.transmission_time, toss_secret_key),
        }
        parts = ["curl", "-sS", webhook_url]
        for name, value in headers.items():
            parts += ["-H", f"{name}: {value}"]
        return shlex.join([*parts, "--data-binary", self.body])
