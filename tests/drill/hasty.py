"""A process whose alert rules live a minute in a quarter of a second: `python -m tests.drill.hasty serve`.

Their limits stay what they are, in minutes; the database's clock and every wait for Toss or the Data API are real.
"""

import os
import sys
import time

import supatoss.app
from supatoss.alerts.rules import Limits
from supatoss.alerts.targets import Target
from supatoss.alerts.watch import Watch
from supatoss.cli import main
from supatoss.inbox import interpret
from supatoss.store import Store
from supatoss.toss.client import TossClient
from supatoss.toss.fields import PaymentStatus

SPEED = 240.0


class HastyWatch(Watch):
    def __init__(
        self,
        store: Store,
        limits: Limits,
        target: Target | None,
        interval_seconds: float,
        observer: str,
        toss: TossClient | None = None,
    ) -> None:
        super().__init__(
            store, limits, target, interval_seconds / SPEED, observer, toss, clock=lambda: time.monotonic() * SPEED
        )


if __name__ == "__main__":
    # An older release, from before Toss had this status.
    if unknown := os.environ.get("DRILL_UNKNOWN_STATUS"):
        PaymentStatus._member_map_.pop(unknown)
        PaymentStatus._member_names_.remove(unknown)
        interpret._STATUSES.pop(unknown)
    supatoss.app.Watch = HastyWatch  # type: ignore[assignment, attr-defined]
    raise SystemExit(main(sys.argv[1:]))
