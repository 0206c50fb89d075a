"""A store that calls the functions over psycopg, in the place of the Data API."""

import json
from collections.abc import Mapping, Sequence
from typing import Any

from supatoss.eventlog import Cursor, EventFilter, EventOutcome, EventPage, StoredEvent
from supatoss.store import Store
from tests.database.support import Database


class DatabaseStore(Store):
    """The operators' calls, with the same arguments as over the Data API."""

    def __init__(self, database: Database) -> None:
        self.database = database

    async def find_events(
        self,
        wanted: EventFilter,
        *,
        limit: int,
        after: Cursor | None = None,
        is_ascending: bool = False,
        with_payload: bool = False,
    ) -> EventPage:
        query = wanted.to_query(limit=limit, after=after, is_ascending=is_ascending, with_payload=with_payload)
        page = self.database.call("select find_webhook_events_v1(%s)", json.dumps(query))
        events = tuple(StoredEvent.from_row(row) for row in page["events"])
        return EventPage(events, events[-1].cursor if page["has_more"] else None)

    async def replay_events(
        self, readings: Sequence[Mapping[str, Any]], *, actor: str, dry_run: bool
    ) -> list[EventOutcome]:
        rows = self.database.call("select replay_webhook_events_v1(%s, %s, %s)", json.dumps(readings), actor, dry_run)
        return [EventOutcome(**row) for row in rows]

    async def ignore_events(self, ids: Sequence[str], reason: str, *, actor: str, dry_run: bool) -> list[EventOutcome]:
        rows = self.database.call(
            "select ignore_webhook_events_v1(%s, %s, %s, %s)", json.dumps(list(ids)), reason, actor, dry_run
        )
        return [EventOutcome(**row) for row in rows]
