"""Recording events, and finishing pending ones: the rows and the calls about them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import msgspec

from supatoss.errors import StoreRefused
from supatoss.store.client import Connection, Function, read_row

_encode = msgspec.json.Encoder().encode


@dataclass(frozen=True, slots=True)
class RecordedEvent:
    """The result for one event: outcome is created or duplicate, status and reason as in webhook_events.

    Or outcome is refused: the project's own code keeps the event out of the inbox, and reason says which code.
    """

    id: str
    event_key: str
    outcome: str
    status: str
    reason: str | None

    @property
    def problem(self) -> StoreRefused | None:
        """Why the event isn't stored, if it isn't."""
        return StoreRefused(f"the inbox does not take the event: {self.reason}") if self.outcome == "refused" else None


@dataclass(frozen=True, slots=True)
class KnownKeys:
    """Keys that we hold.

    payment_keys: proven ones of an order, newest first; paid_keys: those that Toss has shown as paid; row_payment_key:
    that of the order's row.
    """

    payment_keys: tuple[str, ...]
    paid_keys: frozenset[str]
    row_payment_key: str | None
    holds_billing_key: bool
    cancel_payment_key: str | None


NOTHING_KNOWN = KnownKeys((), frozenset(), None, holds_billing_key=False, cancel_payment_key=None)


@dataclass(frozen=True, slots=True)
class ClaimedEvent:
    """A pending event under our lease.

    amount: what the application stored for its order, as decimal text. claim: Claim.to_json of its delivery.
    waited_seconds: since it became pending, on the database's clock. merchant_id: of its order's row. traceparent: of
    the delivery, if there were traces.
    """

    id: str
    lease: str
    event_key: str
    event_type: str
    reason: str | None
    attempts: int
    payment_key: str | None
    order_id: str | None
    proof: str | None
    last_error: str | None
    cancel_key: str | None
    cancel_request: str | None
    amount: str | None
    claim: Mapping[str, Any] | None
    waited_seconds: float
    merchant_id: str | None = None
    traceparent: str | None = None


@dataclass(frozen=True, slots=True)
class FinishedEvent:
    """The result of an attempt: outcome is finished, or lost if another worker had taken the event over."""

    outcome: str
    status: str | None = None
    reason: str | None = None


@dataclass(frozen=True, slots=True)
class OverdueAccount:
    """A virtual account that waits for its deposit after its due date."""

    payment_key: str
    order_id: str
    due_date: str


class RecordingCalls(Connection):
    """Each call raises StoreUnavailable or StoreRefused."""

    async def record_webhook_events(self, records: Sequence[Mapping[str, Any]]) -> list[RecordedEvent]:
        """Stores events and applies their changes in one transaction. One result a record, in order.

        Raises when the only event is refused. When it raises, nothing is known to be stored, and recording again is
        safe.
        """
        recorded = await self.call(Function.RECORD_EVENTS, {"events": _encode(records).decode()}, _recorded)
        if [event.event_key for event in recorded] != [record["event_key"] for record in records]:
            raise StoreRefused(f"{Function.RECORD_EVENTS} answered for other events than were sent")
        if len(recorded) == 1 and (problem := recorded[0].problem):
            raise problem
        return recorded

    async def read_known_keys(
        self,
        *,
        order_id: str | None = None,
        billing_key: str | None = None,
        cancel_key: str | None = None,
        cancel_request: str | None = None,
    ) -> KnownKeys:
        """The payment keys of an order, whether we hold a billing key, and which payment has a cancel."""
        arguments = {
            "order_id": order_id,
            "billing_key": billing_key,
            "cancel_key": cancel_key,
            "cancel_request": cancel_request,
        }
        return await self.call(
            Function.READ_KNOWN_KEYS,
            arguments,
            lambda row: KnownKeys(
                tuple(row["payment_keys"]),
                frozenset(row["paid_keys"]),
                row["row_payment_key"],
                row["holds_billing_key"],
                row["cancel_payment_key"],
            ),
        )

    async def known_orders(self, order_ids: Sequence[str]) -> frozenset[str]:
        """Those of these orders that the application has stored or a proven event names."""
        # One try: deliveries wait for the answer, and a late one is useless.
        arguments = {"order_ids": _encode(order_ids).decode()}
        return await self.call(Function.KNOWN_ORDERS, arguments, frozenset, tries=1)

    async def claim_events(self, max_events: int, lease_seconds: int) -> list[ClaimedEvent]:
        """Due pending events, ours until the lease ends."""
        # One try: events claimed by a call whose answer was lost have to wait until their lease ends anyway.
        arguments = {"max_events": max_events, "lease_seconds": lease_seconds}
        return await self.call(
            Function.CLAIM_EVENTS, arguments, lambda rows: [read_row(ClaimedEvent, row) for row in rows], tries=1
        )

    async def finish_event(self, attempt: str) -> FinishedEvent:
        """Ends an attempt at a claimed event; ending it twice is harmless."""
        return await self.call(Function.FINISH_EVENT, {"attempt": attempt}, lambda row: read_row(FinishedEvent, row))

    async def overdue_accounts(self, max_accounts: int) -> list[OverdueAccount]:
        """Accounts that wait for a deposit after their due date."""
        arguments = {"max_accounts": max_accounts}
        return await self.call(
            Function.OVERDUE_ACCOUNTS, arguments, lambda rows: [read_row(OverdueAccount, row) for row in rows]
        )

    async def empty_payloads(self, older_than_days: int, max_events: int) -> int:
        """Empties payloads of finished events that are older: how many."""
        arguments = {"older_than_days": older_than_days, "max_events": max_events}
        return await self.call(Function.EMPTY_PAYLOADS, arguments, int)


def _recorded(rows: Any) -> list[RecordedEvent]:
    return [
        RecordedEvent(row["id"] or "", row["event_key"], row["outcome"], row["status"] or "", row["reason"])
        for row in rows
    ]
