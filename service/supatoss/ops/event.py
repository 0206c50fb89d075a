"""One event: what it said, why it was believed, what it did."""

import asyncio
import json
from dataclasses import dataclass
from typing import Any

from starlette.responses import Response

from supatoss.eventlog import EventFilter, StoredEvent
from supatoss.inbox.replay import UNFINISHED
from supatoss.masking import mask_json
from supatoss.ops.formats import korean_time, money, parse_moment
from supatoss.ops.links import links_to_toss
from supatoss.ops.notices import read_notice
from supatoss.ops.visits import Missing, Visit

_AMOUNTS = ("amount", "balance", "pay_out_amount", "fee")


@dataclass(frozen=True, slots=True)
class Shown:
    """A value of a change. is_code: set in a fixed-width type."""

    text: str
    is_code: bool = False


async def show_event(visit: Visit) -> Response:
    """GET /ops/events/{id}."""
    return await render_event(visit)


async def render_event(
    visit: Visit, status: int = 200, reason_text: str = "", *, reason_error: bool = False
) -> Response:
    """The page of the event that the address names. Raises Missing or StoreError."""
    identity = str(visit.request.path_params["id"])
    page, rows = await asyncio.gather(
        visit.store.find_events(EventFilter(ids=(identity,)), limit=1, with_payload=True),
        visit.store.read("supatoss_ops_rows_v1", {"p_event_id": identity}),
    )
    if not page.events or not rows:
        raise Missing
    (event,) = page.events
    return visit.render(
        "event.html",
        status,
        section="events",
        event=event,
        transmission=rows["transmission"],
        change=_change(event, visit),
        rows=rows,
        payload=_payload(event) or visit.words.t("event.emptied"),
        actions=event.actions[::-1],
        is_open=event.status in UNFINISHED,
        reason_text=reason_text,
        reason_error=reason_error,
        links=links_to_toss(rows["payment"]),
        notice=read_notice(visit),
    )


def _payload(event: StoredEvent) -> str:
    """The body, masked and indented; empty where retention has emptied it."""
    masked = mask_json(event.payload)
    return json.dumps(masked, ensure_ascii=False, indent=2) if masked else ""


def _change(event: StoredEvent, visit: Visit) -> list[tuple[str, Shown]]:
    change = mask_json(event.change)
    if not isinstance(change, dict):
        return []
    return [(name, _shown(name, value, change.get("currency"), visit)) for name, value in change.items()]


def _shown(name: str, value: Any, currency: object, visit: Visit) -> Shown:
    if name in _AMOUNTS:
        return Shown(money(value, currency))
    if name == "status":
        return Shown(f"{visit.words.named('payment', str(value))} ({value})")
    if name.endswith("_at") and (moment := parse_moment(value)):
        return Shown(f"{korean_time(moment)} KST")
    return Shown(value if isinstance(value, str) else json.dumps(value, ensure_ascii=False), is_code=True)
