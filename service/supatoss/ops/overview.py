"""The first page: what arrived, what waits and what failed."""

import datetime as dt
from collections import defaultdict
from dataclasses import dataclass, field
from typing import Any

from starlette.responses import Response

from supatoss.inbox.meaning import Intent
from supatoss.ops.figures import read_figures
from supatoss.ops.formats import parse_moment
from supatoss.ops.visits import Visit
from supatoss.toss.times import SEOUL

RANGES = (24, 168)
"""Hours that the overview can show: a day, a week."""

LATE_SECONDS = 600
"""An event that waits for ten minutes is shown as late: the worker's first attempts come within seconds."""

HOUR = dt.timedelta(hours=1)
_COUNTED = (*(status.value for status in Intent), "deliveries")


@dataclass(frozen=True, slots=True)
class Overview:
    """What supatoss_ops_overview_v1 answered, with every hour of the period in `rows`, newest first."""

    hours: int
    now: dt.datetime
    pending: int
    oldest_pending: dt.datetime | None
    failed: int
    reasons: list[dict[str, Any]]
    types: list[dict[str, Any]]
    rows: list[dict[str, Any]] = field(repr=False)
    total: dict[str, int]

    @property
    def oldest_pending_seconds(self) -> float:
        """How long the oldest waiting event waits."""
        return (self.now - self.oldest_pending).total_seconds() if self.oldest_pending else 0.0

    @property
    def is_late(self) -> bool:
        """Whether an event waits for longer than it should."""
        return self.oldest_pending_seconds > LATE_SECONDS


async def show_overview(visit: Visit) -> Response:
    """GET /ops/?hours=24|168."""
    asked = visit.request.query_params.get("hours", "")
    hours = int(asked) if asked.isdecimal() and asked.isascii() and asked in map(str, RANGES) else RANGES[0]
    answer = await visit.store.read("supatoss_ops_overview_v1", {"p_hours": hours})
    words = visit.words
    return visit.render(
        "overview.html",
        section="overview",
        overview=read_overview(hours, answer),
        ranges=RANGES,
        reconciliation=answer["reconciliation"],
        process=read_figures(visit.desk.started_at),
        status_names={status.value: words.t(f"status.{status.value}") for status in Intent},
    )


def read_overview(hours: int, answer: dict[str, Any]) -> Overview:
    """The answer of supatoss_ops_overview_v1 as the page shows it. Pure."""
    now, since = dt.datetime.fromisoformat(answer["now"]), dt.datetime.fromisoformat(answer["since"])
    counted: dict[dt.datetime, dict[str, int]] = defaultdict(lambda: dict.fromkeys(_COUNTED, 0))
    for item in answer["hours"]:
        row = counted[dt.datetime.fromisoformat(item["hour"])]
        row[item["status"]] += item["events"]
        row["deliveries"] += item["deliveries"]
    rows: list[dict[str, Any]] = []
    hour = since
    while hour <= now:
        label = f"{hour.astimezone(SEOUL):%m-%d %H:00}"
        rows.append({"seconds": int(hour.timestamp()), "label": label, **counted[hour]})
        hour += HOUR
    total = {name: sum(row[name] for row in rows) for name in _COUNTED}
    events = sum(total[status.value] for status in Intent)
    return Overview(
        hours,
        now,
        answer["pending"]["events"],
        parse_moment(answer["pending"]["oldest"]),
        answer["failed"]["events"],
        answer["failed"]["reasons"],
        answer["types"],
        rows[::-1],
        {**total, "events": events, "repeats": total["deliveries"] - events},
    )
