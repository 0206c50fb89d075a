"""The loops that run beside the requests."""

import asyncio

import pytest

from supatoss import app
from supatoss.app import running
from supatoss.connections import OWN_FILES
from supatoss.store.client import MAX_CONNECTIONS
from supatoss.toss.ratelimit import MAX_CALLS_IN_FLIGHT


class Noted:
    """A loop that notes what happens to it. One that is stuck does not end by itself."""

    def __init__(self, name: str, notes: list[str], *, is_stuck: bool = False) -> None:
        self._name = name
        self._notes = notes
        self._stopped = asyncio.Event()
        self._is_stuck = is_stuck

    async def run(self) -> None:
        self._notes.append(f"{self._name} runs")
        try:
            await (asyncio.Event() if self._is_stuck else self._stopped).wait()
        except asyncio.CancelledError:
            self._notes.append(f"{self._name} is given up")
            raise
        self._notes.append(f"{self._name} ends")

    def stop(self) -> None:
        self._notes.append(f"{self._name} is told to stop")
        self._stopped.set()


def test_loops_have_one_grace_together(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(app, "LOOP_GRACE_SECONDS", 0.01)
    notes: list[str] = []

    async def inside() -> None:
        loops = (Noted("one", notes, is_stuck=True), Noted("two", notes), Noted("three", notes, is_stuck=True))
        async with running(*loops):
            await asyncio.sleep(0)
            notes.append("work")
        await asyncio.sleep(0)

    asyncio.run(inside())
    assert notes[:8] == [
        "one runs",
        "two runs",
        "three runs",
        "work",
        "one is told to stop",
        "two is told to stop",
        "three is told to stop",
        "two ends",
    ]
    assert sorted(notes[8:]) == ["one is given up", "three is given up"]


def test_the_files_that_stay_free_are_enough_for_every_call_at_once() -> None:
    assert MAX_CONNECTIONS + MAX_CALLS_IN_FLIGHT + 16 <= OWN_FILES, "16: logs, listening sockets, name look-ups"
