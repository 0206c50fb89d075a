"""Writes events through the store: one transaction for the inbox and what it changes."""

from service.inbox.meaning import NewEvent
from service.store import RecordedEvent, Store


class Recorder:
    """Records authenticated events. When `record` returns, the event is stored durably."""

    def __init__(self, store: Store) -> None:
        self._store = store

    async def record(self, event: NewEvent) -> RecordedEvent:
        """Records one event. Raises StoreError; then it is not known to be stored, and recording again is safe."""
        (recorded,) = await self._store.record_webhook_events([event.to_record()])
        return recorded
