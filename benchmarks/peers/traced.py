"""supatoss with a record of every recording call: when it began and ended, how many events, how long they waited.

TRACE_FILE: where the calls are written, a JSON array a call, when the process ends.
"""

import json
import os
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from supatoss.cli.processes import serve
from supatoss.inbox import recorder
from supatoss.store.recording import RecordedEvent, RecordingCalls


def main() -> None:
    """Serves, and writes down what it saw at the end."""
    calls: list[tuple[int, int, int, int]] = []
    arrived: dict[int, int] = {}
    waiting, record = recorder._Waiting, RecordingCalls.record_webhook_events  # noqa: SLF001 - what it measures

    def note_arrival(*arguments: Any) -> recorder._Waiting:
        made = waiting(*arguments)
        arrived[id(made.record)] = time.monotonic_ns()
        return made

    async def note_call(self: RecordingCalls, records: Sequence[dict[str, Any]]) -> list[RecordedEvent]:
        began = time.monotonic_ns()
        oldest = min(arrived.pop(id(one), began) for one in records)
        try:
            return await record(self, records)
        finally:
            calls.append((began, time.monotonic_ns(), len(records), began - oldest))

    recorder._Waiting = note_arrival  # type: ignore[assignment,misc]  # noqa: SLF001
    RecordingCalls.record_webhook_events = note_call  # type: ignore[method-assign,assignment]
    try:
        serve()
    finally:
        Path(os.environ["TRACE_FILE"]).write_text("\n".join(map(json.dumps, calls)), encoding="utf-8")


if __name__ == "__main__":
    main()
