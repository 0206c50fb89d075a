"""Replays or ignores many events at once: a dry run stores the batch, and confirming it applies each event once."""

import uuid
from collections.abc import Mapping, Sequence
from enum import StrEnum

from supatoss.inbox.actions import checked_actor, checked_reason, chunks, ignore, select
from supatoss.inbox.replay import replay
from supatoss.store import Store
from supatoss.store.batches import Batch, NewBatch, TriedEvent
from supatoss.store.events import EventFilter, EventOutcome, StoredEvent

MAX_BATCH_EVENTS = 500
"""Events of a batch: half a minute of work at most, and a list that can still be read."""

_TRIED_REASON = "dry run"


class BatchAction(StrEnum):
    """What is done to the events of a batch."""

    REPLAY = "replay"
    IGNORE = "ignore"


async def open_batch(
    store: Store, wanted: EventFilter, action: BatchAction, *, actor: str, chosen: Mapping[str, str]
) -> str | None:
    """Dry-runs an action on the failed and pending events that match, oldest first, and stores the results.

    Returns the batch's id, None if no event matches. Raises NotAllowed or StoreError.
    """
    actor = checked_actor(actor)
    selection = await select(store, wanted, MAX_BATCH_EVENTS)
    if not selection.events:
        return None
    outcomes = await _act(store, action, [event.id for event in selection.events], actor, None, _TRIED_REASON, True)
    found = {outcome.event: outcome for outcome in outcomes}
    tried = [_tried(event, found[event.id]) for event in selection.events]
    batch = NewBatch(str(uuid.uuid4()), actor, action.value, chosen, tried, selection.has_more)
    await store.open_batch(batch)
    return batch.id


async def run_batch(
    store: Store, batch_id: str, *, actor: str, address: str | None, reason: str | None
) -> Batch | None:
    """Applies the rest of a batch; None if it is finished, in progress or too old. Raises NotAllowed or StoreError.

    What was applied before an error stays applied and recorded; running it again resumes there.
    """
    actor = checked_actor(actor)
    batch = await store.claim_batch(batch_id, actor, reason)
    if batch is None:
        return None
    action = BatchAction(batch.action)
    why = checked_reason(batch.reason or "") if action is BatchAction.IGNORE else None
    for chunk in chunks(batch.left):
        # Read again: what somebody else has finished since the dry run is not done a second time.
        still = await select(store, EventFilter(ids=chunk), len(chunk))
        outcomes = list(still.refused)
        if still.events:
            outcomes += await _act(store, action, [event.id for event in still.events], actor, address, why, False)
        await store.note_batch(batch.id, outcomes)
    return await store.read_batch(batch_id)


async def _act(
    store: Store,
    action: BatchAction,
    ids: Sequence[str],
    actor: str,
    address: str | None,
    reason: str | None,
    dry_run: bool,
) -> list[EventOutcome]:
    if action is BatchAction.REPLAY:
        return await replay(store, ids, actor=actor, address=address, dry_run=dry_run)
    return await ignore(store, ids, reason or "", actor=actor, address=address, dry_run=dry_run)


def _tried(event: StoredEvent, outcome: EventOutcome) -> TriedEvent:
    return TriedEvent(event.event_type, event.order_id, event.amount, event.currency, event.status, outcome)
