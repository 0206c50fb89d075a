"""Refused deliveries; the database keeps the newest."""

import datetime as dt
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any, Self

from supatoss.store.client import Connection, Function, read_row


@dataclass(frozen=True, slots=True)
class RefusedDelivery:
    """One delivery and its answer. body: its first 8 KiB, which may hold a secret. id: None before it is kept."""

    received_at: dt.datetime
    event_type: str | None
    reason: str
    http_status: int
    source_address: str
    body: str = field(repr=False)
    id: int | None = None

    @classmethod
    def from_row(cls, row: Mapping[str, Any]) -> Self:
        """Reads an element of supatoss_read_refused_v1's answer. Raises KeyError, TypeError or ValueError."""
        return read_row(cls, {**row, "received_at": dt.datetime.fromisoformat(row["received_at"]).astimezone(dt.UTC)})

    def to_record(self) -> dict[str, Any]:
        """One element of supatoss_note_refused_v1's argument."""
        record = {**asdict(self), "received_at": self.received_at.isoformat()}
        del record["id"]
        return record


class RefusedCalls(Connection):
    """Each call raises StoreUnavailable or StoreRefused."""

    async def note_refused(self, deliveries: Sequence[RefusedDelivery]) -> int:
        """Stores deliveries and keeps only the newest thousand in all. Returns how many were stored."""
        records = json.dumps([delivery.to_record() for delivery in deliveries], ensure_ascii=False)
        # One try: no money depends on this log, and a second try would write them twice.
        return await self.call(Function.NOTE_REFUSED, {"deliveries": records}, int, tries=1)

    async def read_refused(self, max_deliveries: int, before_id: int | None = None) -> list[RefusedDelivery]:
        """The newest ones, or those before `before_id`."""
        arguments = {"max_deliveries": max_deliveries, "before_id": before_id}
        return await self.call(
            Function.READ_REFUSED, arguments, lambda rows: [RefusedDelivery.from_row(row) for row in rows]
        )
