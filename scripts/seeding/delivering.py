"""Delivers a made-up week to the running service, then moves each event back to its own time."""

import asyncio
import datetime as dt
import json
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

import httpx

from scripts.seeding.orders import SEOUL
from scripts.seeding.week import Day, Webhook
from supatoss.toss.delivery import ID_HEADER, RETRIED_COUNT_HEADER, SIGNATURE_HEADER, TIME_HEADER, read_body
from supatoss.toss.samples import transmission_id
from supatoss.toss.signature import sign_hex, sign_v1

AT_ONCE = 40
"""The service stores deliveries that arrive together in one call."""

PAGE = 1000
"""Rows per response of the Data API."""

TRIES = 5
RESEND_MINUTES = (0, 1, 5)
STRANGERS = ("forged", "none")
STRANGER_SECONDS = 0.22
"""The service records at most five refused deliveries a second."""

NOTED_SECONDS = 1.2
"""It stores refused deliveries once a second."""


class Failed(Exception):
    """A part of the stack failed; the message says which."""


@dataclass
class Stack:
    """The running stack: where the parts are, and the keys."""

    supabase_url: str
    secret_key: str = field(repr=False)
    webhook_url: str
    emulator_url: str
    toss_secret_key: str = field(repr=False)
    toss_security_key: str = field(repr=False)


class Delivering:
    """One run. Events that are stored already are not sent again."""

    def __init__(self, stack: Stack, http: httpx.AsyncClient) -> None:
        self._stack = stack
        self._http = http
        self.outcomes: Counter[str] = Counter()
        self._moments: list[dict[str, str]] = []

    async def tell_toss(self, days: Sequence[Day]) -> None:
        """Makes the payments, settlements and billing keys known to the emulator."""
        facts = {
            "payments": [payment for day in days for payment in day.payments],
            "settlements": [_settled(settlement) for day in days for settlement in day.settlements],
            "billingKeys": [key for day in days for key in day.billing_keys],
        }
        await self._post(f"{self._stack.emulator_url}/emulator/known", facts, "the Toss emulator")

    async def store_orders(self, days: Sequence[Day]) -> None:
        """Inserts the orders of the shop's application, unless they are stored already."""
        rows = {row["order_id"]: row for day in days for row in day.orders}
        if rows:
            known = await self._rows(f"payments?select=order_id&order_id=in.({','.join(rows)})")
            new = [row for row in rows.values() if row["order_id"] not in {row["order_id"] for row in known}]
            if new:
                await self._post(self._data_api("payments"), new, "the Data API")

    async def deliver(self, webhooks: Sequence[Webhook], advance: Callable[[], None]) -> None:
        """Sends the webhooks that are not stored yet, oldest first, several at a time."""
        stored = {row["event_key"] for row in await self._rows("webhook_events?select=event_key&event_key=not.is.null")}
        refused = await self._post(
            self._data_api("rpc/supatoss_read_refused_v1"), {"max_deliveries": PAGE, "before_id": None}, "the Data API"
        )
        strangers = [webhook for webhook in webhooks if webhook.form in STRANGERS]
        waiting = iter([webhook for webhook in webhooks if webhook.form not in STRANGERS])

        async def send(webhook: Webhook, *, is_known: bool) -> None:
            if is_known:
                self.outcomes["already stored"] += 1
            else:
                await self._send(webhook, _raw(webhook))
            advance()

        async def work() -> None:
            for webhook in waiting:
                await send(webhook, is_known=read_body(_raw(webhook)).key in stored)

        async def work_slowly() -> None:
            for webhook in strangers:
                is_known = _mark(webhook) in refused.text
                await send(webhook, is_known=is_known)
                if not is_known:
                    await asyncio.sleep(STRANGER_SECONDS)

        await asyncio.gather(work_slowly(), *(work() for _ in range(AT_ONCE)))

    async def backdate(self) -> None:
        """Gives every event, and every refused delivery, the time at which it would have arrived."""
        refused = sum("refused" in moment for moment in self._moments)
        moved = -1
        while moved < (now_moved := await self._backdate()) < refused:
            moved = now_moved
            await asyncio.sleep(NOTED_SECONDS)

    async def _backdate(self) -> int:
        answer = await self._post(self._data_api("rpc/local_backdate"), {"moments": self._moments}, "the Data API")
        return int(answer.json())

    async def _send(self, webhook: Webhook, raw: bytes) -> None:
        sends = webhook.sends
        for number in range(sends):
            response = await self._try(webhook, raw, number)
            if response.status_code == httpx.codes.OK and "event" in (answer := response.json()):
                self.outcomes[answer["event_status"] if number == 0 else "duplicate"] += 1
                last = webhook.at + dt.timedelta(minutes=RESEND_MINUTES[sends - 1])
                if number == 0:
                    moment = {"event": answer["event"], "at": webhook.at.isoformat(), "last": last.isoformat()}
                    self._moments.append(moment)
            else:
                self.outcomes["refused" if response.status_code != httpx.codes.OK else "acknowledged"] += 1
                self._moments.append({"refused": _mark(webhook), "at": webhook.at.isoformat()})

    async def _try(self, webhook: Webhook, raw: bytes, number: int) -> httpx.Response:
        """Sends one delivery, again after a 503."""
        for _ in range(TRIES):
            headers = self._headers(webhook, raw, number)
            try:
                response = await self._http.post(self._stack.webhook_url, content=raw, headers=headers)
            except httpx.TransportError as error:
                raise Failed(f"the service at {self._stack.webhook_url} failed: {type(error).__name__}") from None
            if response.status_code != httpx.codes.SERVICE_UNAVAILABLE:
                return response
            await asyncio.sleep(0.5)
        raise Failed(f"the service at {self._stack.webhook_url} cannot store events: HTTP 503, {TRIES} times")

    def _headers(self, webhook: Webhook, raw: bytes, number: int) -> dict[str, str]:
        sent_at = dt.datetime.now(SEOUL).isoformat(timespec="seconds")
        headers = {
            "content-type": "application/json",
            TIME_HEADER: sent_at,
            ID_HEADER: transmission_id(),
            RETRIED_COUNT_HEADER: str(number),
        }
        match webhook.form:
            case "hex":
                headers[SIGNATURE_HEADER] = sign_hex(raw, sent_at, self._stack.toss_secret_key)
            case "v1":
                headers[SIGNATURE_HEADER] = sign_v1(raw, sent_at, self._stack.toss_security_key)
            case "forged":
                headers[SIGNATURE_HEADER] = sign_hex(raw, sent_at, "test_sk_of_somebody_else")
        return headers

    async def _rows(self, path: str) -> list[dict[str, Any]]:
        rows: list[dict[str, Any]] = []
        while True:
            page = await self._get(f"{path}&limit={PAGE}&offset={len(rows)}")
            rows += page
            if len(page) < PAGE:
                return rows

    async def _get(self, path: str) -> list[dict[str, Any]]:
        url = self._data_api(path)
        answer = await self._ask("GET", url, None, "the Data API")
        rows: list[dict[str, Any]] = answer.json()
        return rows

    async def _post(self, url: str, body: object, name: str) -> httpx.Response:
        return await self._ask("POST", url, body, name)

    async def _ask(self, method: str, url: str, body: object, name: str) -> httpx.Response:
        headers = {"apikey": self._stack.secret_key} if url.startswith(self._stack.supabase_url) else {}
        try:
            response = await self._http.request(method, url, json=body, headers=headers)
        except httpx.TransportError as error:
            raise Failed(f"{name} at {url} failed: {type(error).__name__}; is `make run` running?") from None
        if not response.is_success:
            raise Failed(f"{name} at {url} failed: HTTP {response.status_code} {response.text[:300]}")
        return response

    def _data_api(self, path: str) -> str:
        return f"{self._stack.supabase_url}/rest/v1/{path}"


def all_webhooks(days: Iterable[Day]) -> list[Webhook]:
    """The webhooks of all days, oldest first."""
    return sorted((webhook for day in days for webhook in day.webhooks), key=lambda webhook: webhook.at)


def _raw(webhook: Webhook) -> bytes:
    return json.dumps(webhook.body, ensure_ascii=False, separators=(",", ":")).encode()


def _mark(webhook: Webhook) -> str:
    """What identifies a refused delivery by its body."""
    data = webhook.body["data"]
    return str(data.get("paymentKey") or data.get("customerKey"))


def _settled(settlement: dict[str, Any]) -> dict[str, Any]:
    return {name: settlement[name] for name in ("paymentKey", "transactionKey", "soldDate", "paidOutDate", "fee")}
