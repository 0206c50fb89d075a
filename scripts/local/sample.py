"""A signed delivery to try by hand: one card payment that is DONE."""

import json
import secrets
import shlex
from dataclasses import dataclass
from datetime import UTC, datetime

from service.toss.signature import sign_hex
from service.toss.times import SEOUL


@dataclass(frozen=True)
class SampleDelivery:
    """A delivery as Toss sends it; every sample is another payment."""

    order_id: str
    transmission_time: str
    body: str

    @classmethod
    def new(cls) -> "SampleDelivery":
        """A delivery of an event of this moment."""
        now = datetime.now(UTC).astimezone(SEOUL)
        mark = f"{now:%Y%m%d%H%M%S}{secrets.token_hex(3)}"
        order_id = f"local-{mark}"
        moment = now.isoformat(timespec="seconds")
        event = {
            "eventType": "PAYMENT_STATUS_CHANGED",
            "createdAt": now.replace(tzinfo=None).isoformat(timespec="microseconds"),
            "data": {
                "paymentKey": f"tlocal{mark}",
                "orderId": order_id,
                "orderName": "토스 티셔츠 외 2건",
                "status": "DONE",
                "method": "카드",
                "currency": "KRW",
                "totalAmount": 9900,
                "balanceAmount": 9900,
                "requestedAt": moment,
                "approvedAt": moment,
            },
        }
        return cls(order_id, moment, json.dumps(event, ensure_ascii=False, separators=(",", ":")))

    def curl(self, webhook_url: str, toss_secret_key: str) -> str:
        """The delivery as one line for a shell, signed in the form of the guide."""
        headers = {
            "Content-Type": "application/json; charset=utf-8",
            "tosspayments-webhook-transmission-time": self.transmission_time,
            "tosspayments-webhook-signature": sign_hex(self.body.encode(), self.transmission_time, toss_secret_key),
        }
        parts = ["curl", "-sS", webhook_url]
        for name, value in headers.items():
            parts += ["-H", f"{name}: {value}"]
        return shlex.join([*parts, "--data-binary", self.body])
