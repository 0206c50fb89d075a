"""The Toss emulator of `make run`: its control API, and what it must know for made-up events to be true."""

import http.client
import json
import os
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

from supatoss.causes import failure
from supatoss.errors import NotAllowed, SupatossError, TossUnavailable
from supatoss.toss import events
from supatoss.urls import is_loopback

DEFAULT_URL = "http://127.0.0.1:8090"
TIMEOUT_SECONDS = 20.0
"""Longer than the ten seconds that a webhook may take: a story answers after its webhooks."""

Facts = dict[str, Any]
"""The body of POST /emulator/known."""

_WITH_PAYMENT = (events.PaymentStatusChanged.TYPE, events.VirtualAccountIssued.TYPE)
_UNPAID = ("READY", "IN_PROGRESS", "WAITING_FOR_DEPOSIT", "ABORTED", "EXPIRED")


class Refused(SupatossError):
    """The emulator refuses a story that doesn't fit."""


class NoEmulator(TossUnavailable):
    """No emulator answers."""

    def __str__(self) -> str:
        return self.call


def emulator_url() -> str | None:
    """The emulator's address, if TOSS_API_URL is on this machine."""
    url = os.environ.get("TOSS_API_URL", "").strip().rstrip("/")
    return url if url and is_loopback(urlsplit(url).hostname or "") else None


def require_emulator() -> str:
    """The emulator's address, by default that of `make run`. Raises NotAllowed if TOSS_API_URL is not an emulator."""
    url = os.environ.get("TOSS_API_URL", "").strip()
    if url and emulator_url() is None:
        raise NotAllowed(f"TOSS_API_URL is {url}, which is not an emulator on this machine")
    return emulator_url() or DEFAULT_URL


def call(url: str, method: str, path: str, body: Mapping[str, Any] | None = None) -> Any:
    """Calls the control API. Raises NoEmulator if no emulator answers, Refused with its message."""
    address = urlsplit(url)
    connection = http.client.HTTPConnection(address.hostname or "", address.port, timeout=TIMEOUT_SECONDS)
    try:
        connection.request(method, f"/emulator/{path}", None if body is None else json.dumps(body))
        response = connection.getresponse()
        answer = json.loads(response.read())
    except (OSError, http.client.HTTPException) as error:
        raise NoEmulator(f"{failure(error, f'the Toss emulator, {url}')}. Is `make run` running?") from None
    except ValueError:
        raise NoEmulator(f"what listens at {url} (TOSS_API_URL) is not the Toss emulator") from None
    finally:
        connection.close()
    if response.status < 400:
        return answer
    raise Refused(str(answer.get("error") or answer) if isinstance(answer, dict) else str(answer))


@dataclass(slots=True)
class Emulator:
    """The emulator to tell about made-up events. url None: there is none."""

    url: str | None

    @classmethod
    def beside(cls, target: str) -> "Emulator":
        """The emulator, if the deliveries go to a service on this machine."""
        return cls(emulator_url() if is_loopback(urlsplit(target).hostname or "") else None)

    def tell(self, facts: "Facts | None") -> None:
        """Makes a payment known. The event is sent even if the emulator can't store it (an unknown status)."""
        if self.url is None or facts is None:
            return
        try:
            call(self.url, "POST", "known", facts)
        except NoEmulator:
            self.url = None
        except Refused:
            return


def facts_of(event_type: str, body: Mapping[str, Any], sample: Mapping[str, Any]) -> Facts | None:
    """What Toss would know if a made-up event were true; None if there is nothing to look up.

    sample: a Payment object, for the fields that the event leaves out.
    """
    data = body.get("data")
    data = data if isinstance(data, dict) else {}
    match event_type:
        case _ if event_type in _WITH_PAYMENT:
            return {"payments": [_payment(sample, data)]}
        case events.OrderPaymentStatusChanged.TYPE:
            payment = data.get("payment")
            return {"payments": [_payment(sample, payment)]} if isinstance(payment, dict) else None
        case events.DepositCallback.TYPE:
            named = {"lastTransactionKey": body.get("transactionKey"), "approvedAt": body.get("createdAt")}
            account = {**named, **_present(body, "orderId", "secret", "status")}
            return {"payments": [_payment(sample, {**account, "method": "가상계좌"})]}
        case events.VirtualAccountDeposit.TYPE:
            paid = {"status": "DONE", "method": "가상계좌", "approvedAt": data.get("depositedAt")}
            return {"payments": [_payment(sample, {**paid, **_present(data, "paymentKey", "orderId", "secret")})]}
        case events.CancelStatusChanged.TYPE:
            named = _present(data, "paymentKey", "orderId")
            is_whole = data.get("cancelAmount") == sample["totalAmount"] and data.get("cancelStatus") == "DONE"
            status = {"status": "CANCELED" if is_whole else "PARTIAL_CANCELED", "cancels": [data]}
            return {"payments": [_payment(sample, {**named, **status})]}
        case events.SettlementCompleted.TYPE:
            payment = _payment(sample, {**_present(data, "paymentKey", "orderId"), "totalAmount": data.get("amount")})
            days = {"soldDate": data.get("soldDate"), "paidOutDate": data.get("paidOutDate")}
            paid_out = {**days, "fee": data.get("fee", 0), "transactionKey": data.get("transactionKey")}
            return {"payments": [payment], "settlements": [{"paymentKey": payment["paymentKey"], **paid_out}]}
        case events.BillingKeyIssued.TYPE | events.BillingKeyDeleted.TYPE | events.BillingDeleted.TYPE:
            key = {"billingKey": data.get("billingKey"), "customerKey": data.get("customerKey") or "customer"}
            return {"billingKeys": [{**key, "isRemoved": event_type != events.BillingKeyIssued.TYPE}]}
    return None


def _payment(sample: Mapping[str, Any], changes: Mapping[str, Any]) -> dict[str, Any]:
    """A Payment object as the API would return it: without an approval if nothing is paid."""
    payment = {**sample, **changes}
    if payment["status"] in _UNPAID:
        payment["approvedAt"] = None
    return payment


def _present(body: Mapping[str, Any], *names: str) -> dict[str, Any]:
    return {name: body[name] for name in names if body.get(name) is not None}
