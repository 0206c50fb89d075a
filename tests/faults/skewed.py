"""The service in a process whose clock is wrong by FAULT_CLOCK_SECONDS: `python -m tests.faults.skewed`."""

import datetime as dt
import os
import time
from typing import Any

_OFFSET_SECONDS = float(os.environ["FAULT_CLOCK_SECONDS"])
_RealDatetime = dt.datetime
_real_time = time.time


class _LikeTheRealOne(type):
    """Lets a real datetime pass for one of ours."""

    def __instancecheck__(cls, instance: object) -> bool:
        return isinstance(instance, _RealDatetime)


class _SkewedDatetime(_RealDatetime, metaclass=_LikeTheRealOne):
    @classmethod
    def now(cls, tz: Any = None) -> Any:
        return _RealDatetime.now(tz) + dt.timedelta(seconds=_OFFSET_SECONDS)


def main() -> None:
    """Turns the clock before anything of the service is imported, then serves."""
    dt.datetime = _SkewedDatetime  # type: ignore[misc]
    time.time = lambda: _real_time() + _OFFSET_SECONDS
    from supatoss.cli import main as supatoss  # noqa: PLC0415 - it must see the turned clock

    raise SystemExit(supatoss(["serve"]))


if __name__ == "__main__":
    main()
