"""The overview: events of a period, and what this process has counted since it started."""

import datetime as dt
from collections import Counter, defaultdict
from dataclasses import dataclass, field
from typing import Any

from starlette.responses import Response

from supatoss.alerts.messages import page_of
from supatoss.inbox.event import EventStatus
from supatoss.ops.formats import parse_moment
from supatoss.ops.page import PageRequest
from supatoss.telemetry import DELIVERIES, DELIVERY_SECONDS
from supatoss.toss.fields import SEOUL

RANGES = (24, 168)
"""Periods in hours: a day, a week."""

LATE_SECONDS = 600
"""An event that is pending for ten minutes is late: the worker's first attempts come within seconds."""

HOUR = dt.timedelta(hours=1)
_COUNTED = (*(status.value for status in EventStatus), "deliveries")

PERCENTILES = (50, 95, 99)


@dataclass(frozen=True, slots=True)
class ProcessStats:
    """Deliveries since the start. rejected: (reason, count), most first. latency: (percentile, upper bound)."""

    started_at: dt.datetime
    answered: int
    rejected: list[tuple[str, int]]
    latency: list[tuple[int, str]]


def read_process_stats(started_at: dt.datetime) -> ProcessStats:
    """The counters of this process."""
    answered, rejected = 0, Counter[str]()
    for metric in DELIVERIES.collect():
        for sample in metric.samples:
            if sample.name.endswith("_total") and sample.labels["outcome"] != "probe":
                answered += int(sample.value)
                if sample.labels["reason"] and sample.value:
                    rejected[sample.labels["reason"]] += int(sample.value)
    return ProcessStats(started_at, answered, rejected.most_common(), _latency())


def _latency() -> list[tuple[int, str]]:
    buckets = [
        (float(sample.labels["le"]), sample.value)
        for metric in DELIVERY_SECONDS.collect()
        for sample in metric.samples
        if sample.name.endswith("_bucket")
    ]
    total = buckets[-1][1] if buckets else 0
    if not total:
        return []
    return [(share, _limit(next(le for le, count in buckets if count * 100 >= share * total))) for share in PERCENTILES]


def _limit(seconds: float) -> str:
    """The upper bound of a bucket: ≤ 50 ms, ≤ 2 s, > 8 s for the last one."""
    if seconds == float("inf"):
        return "> 8 s"
    return f"≤ {seconds * 1000:g} ms" if seconds < 1 else f"≤ {seconds:g} s"


@dataclass(frozen=True, slots=True)
class Overview:
    """The answer of supatoss_ops_overview_v1, with every hour of the period in `rows`, newest first."""

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
    def since(self) -> str:
        """When the period begins, as the list of events takes it."""
        return str(self.rows[-1]["from"]) if self.rows else ""

    @property
    def oldest_pending_seconds(self) -> float:
        """Age of the oldest pending event; 0 if there is none."""
        return (self.now - self.oldest_pending).total_seconds() if self.oldest_pending else 0.0

    @property
    def is_late(self) -> bool:
        """Whether an event has been pending for too long."""
        return self.oldest_pending_seconds > LATE_SECONDS


async def show_overview(request: PageRequest) -> Response:
    """GET /ops/?hours=24|168."""
    requested = request.http.query_params.get("hours", "")
    hours = next((hours for hours in RANGES if str(hours) == requested), RANGES[0])
    answer = await request.store.read_overview(hours)
    texts = request.texts
    return request.render(
        "overview.html",
        section="overview",
        overview=read_overview(hours, answer),
        ranges=RANGES,
        alerts=[{**alert, "page": page_of(alert["rule"], alert["subject"])} for alert in answer["alerts"]],
        reconciliation=answer["reconciliation"],
        differences=answer["differences"],
        process=read_process_stats(request.context.started_at),
        status_names={status.value: texts.t(f"status.{status.value}") for status in EventStatus},
    )


def _for_filter(moment: dt.datetime) -> str:
    """A time as the filter of events has it: Korean, without its zone."""
    return f"{moment.astimezone(SEOUL):%Y-%m-%dT%H:%M}"


def read_overview(hours: int, answer: dict[str, Any]) -> Overview:
    """Fills the hours without events in. Pure."""
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
        period = {"from": _for_filter(hour), "until": _for_filter(hour + HOUR)}
        rows.append({"seconds": int(hour.timestamp()), "label": label, **period, **counted[hour]})
        hour += HOUR
    total = {name: sum(row[name] for row in rows) for name in _COUNTED}
    events = sum(total[status.value] for status in EventStatus)
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
