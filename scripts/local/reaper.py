"""Ends the children of a process that has gone, however it went.

Started by `children.py` with the read end of a pipe as standard input. The children announce themselves on that pipe
("+<process id> <signal that ends it>"), their parent takes them back ("-<process id>"). End of file means that the
parent is gone, even by SIGKILL, and that no child is still on its way to announce itself.
Standard library only: it runs isolated (`python -I -S`).
"""

import contextlib
import os
import signal
import sys
import time

PATIENCE_SECONDS = 12.0
"""Time between the polite signal and SIGKILL; the service drains within it."""


def _signal_group(group: int, number: int) -> bool:
    """Signal a process group; False when it has no process left."""
    try:
        os.killpg(group, number)
    except (ProcessLookupError, PermissionError):
        return False
    return True


def main() -> None:
    """Read announcements until the parent is gone, then end what is left."""
    for ignored in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(ignored, signal.SIG_IGN)
    living: dict[int, int] = {}
    for line in sys.stdin:
        with contextlib.suppress(ValueError):
            if line.startswith("+"):
                group, number = map(int, line[1:].split())
                living[group] = number
            elif line.startswith("-"):
                living.pop(int(line[1:]), None)

    groups = {group for group, number in living.items() if _signal_group(group, number)}
    deadline = time.monotonic() + PATIENCE_SECONDS
    while groups and time.monotonic() < deadline:
        time.sleep(0.05)
        groups = {group for group in groups if _signal_group(group, 0)}
    for group in groups:
        _signal_group(group, signal.SIGKILL)


if __name__ == "__main__":
    main()
