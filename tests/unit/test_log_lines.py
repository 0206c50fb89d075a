"""The log for people."""

import logging
import re
from typing import Any

import pytest
import structlog
from rich.cells import cell_len

from supatoss.log_lines import Lines, is_worth_reading, may_colour
from supatoss.telemetry import configure_logging

DELIVERY = {
    "event": "delivery",
    "level": "info",
    "timestamp": "2026-11-25T18:06:52.123456Z",
    "outcome": "created",
    "reason": None,
    "http_status": 200,
    "event_type": "PAYMENT_STATUS_CHANGED",
    "event_status": "processed",
    "event_reason": None,
    "order_id": "order-1",
    "amount": "9900",
    "currency": "KRW",
    "payment_status": "DONE",
    "milliseconds": 36.2,
}


def line(*, in_colour: bool = False, lines: Lines | None = None, **changes: Any) -> str:
    rendered = (lines or Lines(in_colour=in_colour))(None, "info", {**DELIVERY, **changes})
    assert isinstance(rendered, str)
    return rendered


def test_a_delivery_is_one_line_in_korean_time() -> None:
    shown = re.sub(" {2,}", "  ", line())
    assert shown == "03:06:52  PAYMENT_STATUS_CHANGED  order-1  ₩9,900  DONE → 200 processed  36 ms"


@pytest.mark.parametrize(
    ("changes", "answer"),
    [
        ({"outcome": "duplicate"}, "200 duplicate"),
        (
            {"outcome": "duplicate", "event_status": "failed", "event_reason": "double_charge"},
            "200 failed: double_charge",
        ),
        ({"event_status": "pending", "event_reason": "check_deposit"}, "200 pending: check_deposit"),
        ({"event_status": "failed", "event_reason": "amount_mismatch"}, "200 failed: amount_mismatch"),
        ({"event_status": None, "outcome": "acknowledged"}, "200 acknowledged"),
        (
            {"event_status": None, "outcome": "rejected", "reason": "invalid_signature", "http_status": 401},
            "401 rejected: invalid_signature",
        ),
        ({"event_status": None, "outcome": "failed", "reason": "deadline", "http_status": 503}, "503 failed: deadline"),
    ],
)
def test_the_outcome_is_named_with_its_reason(changes: dict[str, Any], answer: str) -> None:
    assert line(**changes).endswith(f" → {answer}  36 ms")


@pytest.mark.parametrize(
    ("status", "colour"), [("processed", "32"), ("pending", "33"), ("failed", "31"), ("ignored", "2")]
)
def test_colours_follow_the_outcome(status: str, colour: str) -> None:
    assert f"\x1b[{colour}m200 {status}\x1b[0m" in line(in_colour=True, event_status=status)
    assert "\x1b" not in line(event_status=status)


def test_columns_stay_aligned_whatever_their_width_in_cells() -> None:
    lines = Lines(in_colour=False)
    orders = ("주문-가나다라마바사", "order-1", "ｆｕｌｌ", "order-" + "x" * 20)
    first, *later = [line(lines=lines, order_id=order) for order in (orders[-1], *orders)]
    arrows = {cell_len(shown[: shown.index("→")]) for shown in (first, *later)}
    assert len(arrows) == 1


def test_what_comes_from_outside_cannot_control_the_terminal() -> None:
    shown = line(event_type="\x1b[2JTYPE\n", order_id="a\rb")
    assert "\\x1b[2JTYPE\\n" in shown
    assert "a\\rb" in shown
    assert len(shown.splitlines()) == 1


def test_the_workers_attempts_are_told_in_the_same_columns() -> None:
    told = {"event_type": "DEPOSIT_CALLBACK", "order_id": "order-1", "outcome": "finished", "status": "pending"}
    event = {**told, "event": "attempt finished", "reason": "check_deposit", "attempts": 1, "error": "Toss is away"}
    shown = Lines(in_colour=False)(None, "info", event)
    assert re.search(r"DEPOSIT_CALLBACK +order-1 +→ worker: pending after 1 attempt: Toss is away$", shown)


def test_anything_else_is_its_text_and_its_fields() -> None:
    event = {"event": "started", "level": "warning", "timestamp": "no time", "port": 8080, "why": "a b", "none": None}
    shown = Lines(in_colour=False)(None, "info", {**event, "exception": "Traceback:\n  line"})
    assert re.fullmatch(r"\d\d:\d\d:\d\d  started  port=8080 why='a b'\nTraceback:\n  line", shown)


def test_what_uvicorn_says_of_itself_is_left_out_but_its_address_and_problems() -> None:
    def record(name: str, level: int, text: str) -> logging.LogRecord:
        return logging.LogRecord(name, level, "", 0, text, None, None)

    assert not is_worth_reading(record("uvicorn.error", logging.INFO, "Waiting for application startup."))
    assert is_worth_reading(record("uvicorn.error", logging.INFO, "Uvicorn running on http://127.0.0.1:8080"))
    assert is_worth_reading(record("uvicorn.error", logging.WARNING, "Invalid HTTP request received."))
    assert is_worth_reading(record("asyncio", logging.INFO, "anything"))


def test_auto_writes_json_where_nobody_reads(capsys: pytest.CaptureFixture[str]) -> None:
    configure_logging("INFO", "auto")
    structlog.get_logger().info("delivery", outcome="created")
    assert capsys.readouterr().out.startswith('{"outcome":"created"')


def test_auto_writes_lines_in_a_terminal(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.stdout.isatty", lambda: True)
    monkeypatch.setenv("NO_COLOR", "1")
    configure_logging("INFO", "auto")
    structlog.get_logger().info("started", port=8080)
    assert re.fullmatch(r"\d\d:\d\d:\d\d  started  port=8080\n", capsys.readouterr().out)


@pytest.mark.parametrize("variables", [{"NO_COLOR": "1"}, {"TERM": "dumb"}])
def test_no_colour_where_none_is_wanted(variables: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.stdout.isatty", lambda: True)
    for name in ("NO_COLOR", "TERM"):
        monkeypatch.delenv(name, raising=False)
    assert may_colour()
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    assert not may_colour()
