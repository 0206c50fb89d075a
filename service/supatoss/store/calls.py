"""Every call of the database, over one connection."""

from supatoss.store.adoption import AdoptionCalls
from supatoss.store.alerts import AlertCalls
from supatoss.store.batches import BatchCalls
from supatoss.store.events import EventCalls
from supatoss.store.exposure import ExposureCalls
from supatoss.store.lists import ListCalls
from supatoss.store.reconciliation import ReconciliationCalls
from supatoss.store.recording import RecordingCalls
from supatoss.store.refused import RefusedCalls
from supatoss.store.reviews import ReviewCalls
from supatoss.store.sessions import SessionCalls


class Store(
    RecordingCalls,
    EventCalls,
    BatchCalls,
    ListCalls,
    RefusedCalls,
    AlertCalls,
    ReconciliationCalls,
    ReviewCalls,
    SessionCalls,
    AdoptionCalls,
    ExposureCalls,
):
    """The calls about every subject, over one connection."""
