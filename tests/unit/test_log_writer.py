"""Log lines: written immediately, or from a thread, so that a slow reader blocks nobody."""

import io
import threading

import pytest

from supatoss import log_writer as lines_module
from supatoss.log_writer import LogWriter


class Gate(io.StringIO):
    """A reader that stands still until it is let go."""

    def __init__(self) -> None:
        super().__init__()
        self.reached = threading.Event()
        self.released = threading.Event()

    def write(self, text: str) -> int:
        self.reached.set()
        assert self.released.wait(10)
        return super().write(text)


class Broken(io.StringIO):
    """A pipe whose other end is closed."""

    def write(self, text: str) -> int:
        raise BrokenPipeError


@pytest.fixture
def lines() -> LogWriter:
    made = LogWriter()
    made.stream = io.StringIO()
    return made


def written(lines: LogWriter) -> list[str]:
    assert isinstance(lines.stream, io.StringIO)
    return lines.stream.getvalue().splitlines()


def test_are_written_at_once_where_nobody_serves(lines: LogWriter) -> None:
    lines.write("one\n")
    assert written(lines) == ["one"]


def test_of_the_background_are_all_there_in_order_at_its_end(lines: LogWriter) -> None:
    with lines.in_background():
        for number in range(1000):
            lines.write(f"{number}\n")
    lines.write("after\n")
    assert written(lines) == [*map(str, range(1000)), "after"]


def test_the_background_can_begin_again(lines: LogWriter) -> None:
    for text in ("first\n", "second\n"):
        with lines.in_background():
            lines.write(text)
    assert written(lines) == ["first", "second"]


def test_a_reader_that_stands_still_holds_nobody_up_and_what_it_misses_is_counted(
    lines: LogWriter, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lines_module, "MAX_WAITING_LINES", 3)
    lines.stream = gate = Gate()
    with lines.in_background():
        lines.write("held\n")
        assert gate.reached.wait(10)
        for number in range(5):
            lines.write(f"{number}\n")  # would hang here if it waited for the reader
        gate.released.set()
    assert written(lines)[:4] == ["held", "0", "1", "2"]
    assert '"lines":2' in written(lines)[4]


def test_a_reader_that_is_gone_ends_nothing(lines: LogWriter) -> None:
    lines.stream = Broken()
    with lines.in_background():
        lines.write("lost\n")
    lines.stream = io.StringIO()
    with lines.in_background():
        lines.write("seen\n")
    assert written(lines)[0] == "seen"
    assert '"lines":1' in written(lines)[1]
