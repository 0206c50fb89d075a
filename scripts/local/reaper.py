"""Ends the children of a process that is gone, even after SIGKILL.

Started by `children.py` with the read end of a pipe as standard input. The children announce themselves on that pipe
("+<process id> <signal that stops it>"), and the parent removes them ("-<process id>"). End of file means that the
parent is gone and that no child is about to announce itself.
Standard library only: it runs isolated (`python -I -S`).
"""

import contextlib
import os
import signal
import sys
import time

GRACE_SECONDS = 12.0
"""Between the first signal and SIGKILL; enough for the service to finish its requests."""


def _signal_group(group: int, number: int) -> bool:
    """Signal a process group; False if it has no processes left."""
    try:
        os.killpg(group, number)
    except (ProcessLookupError, PermissionError):
        return False
    return True


def main() -> None:
    """Read announcements until the parent is gone, then end the remaining children."""
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
    deadline = time.monotonic() + GRACE_SECONDS
    while groups and time.monotonic() < deadline:
        time.sleep(0.05)
        groups = {group for group in groups if _signal_group(group, 0)}
    for group in groups:
        _signal_group(group, signal.SIGKILL)


if __name__ == "__main__":
    main()
