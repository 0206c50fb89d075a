"""Ignores open differences: an operator says that nothing has to be done about them."""

from supatoss.errors import NotAllowed
from supatoss.inbox.actions import checked_actor, checked_reason
from supatoss.store.reviews import FindingFilter, OpenFindings, ReviewCalls

DEFAULT_LIMIT = 100
"""Differences per action by default: what one person can review beforehand."""

MAX_LIMIT = 10_000


async def ignore_findings(
    store: ReviewCalls,
    wanted: FindingFilter,
    reason: str,
    *,
    actor: str,
    address: str | None = None,
    dry_run: bool,
    limit: int = DEFAULT_LIMIT,
) -> OpenFindings:
    """Ignores the open findings that match, the oldest first, with a reason. Raises NotAllowed or StoreError."""
    if not wanted.to_json():
        raise NotAllowed("at least one filter is needed: an id, a day, an order or a payment key")
    if not 1 <= limit <= MAX_LIMIT:
        raise NotAllowed(f"the limit should be between 1 and {MAX_LIMIT}")
    return await store.ignore_findings(
        wanted,
        checked_reason(reason),
        actor=checked_actor(actor),
        address=address,
        dry_run=dry_run,
        max_findings=limit,
    )
