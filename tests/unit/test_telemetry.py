import json
import logging

import httpx
import pytest
import structlog

from supatoss.telemetry import SECRET_FIELDS, bind, configure_logging, log_delivery, redact, unbind
from tests.unit.fakes import LogLines


@pytest.fixture
def lines() -> LogLines:
    return LogLines()


class TestLines:
    def test_ours_are_one_json_object_each(self, lines: LogLines) -> None:
        structlog.get_logger("supatoss.test").info("delivery", outcome="created", name="가상 상품\nsecond line")
        (line,) = lines()
        assert line.pop("timestamp").endswith("Z")
        assert line == {"event": "delivery", "level": "info", "outcome": "created", "name": "가상 상품\nsecond line"}

    def test_those_of_libraries_are_json_too(self, lines: LogLines) -> None:
        logging.getLogger("some.library").warning("lost %s of %d", "one", 3)
        (line,) = lines()
        assert line.pop("timestamp").endswith("Z")
        assert line == {"event": "lost one of 3", "level": "warning"}

    @pytest.mark.parametrize("name", ["uvicorn", "uvicorn.error", "uvicorn.access"])
    def test_those_of_uvicorn_come_once_even_when_it_had_handlers_of_its_own(
        self, name: str, capsys: pytest.CaptureFixture[str]
    ) -> None:
        logger = logging.getLogger(name)
        logger.addHandler(logging.StreamHandler())
        logger.propagate = False
        logger.setLevel(logging.INFO)
        configure_logging("INFO", "json")
        logger.info("Application startup complete.")
        printed = capsys.readouterr()
        assert printed.err == ""
        (line,) = printed.out.splitlines()
        assert json.loads(line)["event"] == "Application startup complete."

    @pytest.mark.parametrize("logger", ["ours", "uvicorn.error"])
    def test_a_traceback_stays_in_its_line(self, lines: LogLines, logger: str) -> None:
        log = structlog.get_logger() if logger == "ours" else logging.getLogger(logger)
        try:
            _ = 1 / 0
        except ZeroDivisionError:
            log.exception("unexpected error")
        (line,) = lines()
        assert (line["event"], line["level"]) == ("unexpected error", "error")
        assert line["exception"].endswith("ZeroDivisionError: division by zero")

    def test_what_is_bound_to_a_delivery_is_in_its_lines(self, lines: LogLines) -> None:
        bind(event_key="k")
        structlog.get_logger().info("delivery")
        logging.getLogger("uvicorn.error").info("also")
        assert unbind() == {"event_key": "k"}
        structlog.get_logger().info("later")
        assert [line.get("event_key") for line in lines()] == ["k", "k", None]

    def test_less_than_the_level_is_silent(self, capsys: pytest.CaptureFixture[str]) -> None:
        configure_logging("WARNING", "json")
        structlog.get_logger().info("a")
        logging.getLogger("library").info("b")
        structlog.get_logger().warning("c")
        assert [json.loads(line)["event"] for line in capsys.readouterr().out.splitlines()] == ["c"]

    def test_may_be_text_for_people(self, capsys: pytest.CaptureFixture[str]) -> None:
        configure_logging("INFO", "console")
        fields = {"outcome": "created", "http_status": 200, "event_status": "processed", "secret": "hidden"}
        structlog.get_logger().info("delivery", **fields)
        structlog.get_logger().info("started", secret="hidden")
        printed = capsys.readouterr().out
        assert "started  secret=[redacted]" in printed
        assert "200 processed" in printed
        assert "hidden" not in printed

    def test_the_line_of_a_delivery_is_as_any_other(self, lines: LogLines) -> None:
        fields = {"http_status": 200, "outcome": "created", "name": "가상 상품\nsecond line", "secret": "hidden"}
        structlog.get_logger().warning("delivery", **fields)
        log_delivery(logging.WARNING, {**fields})
        usual, quick = lines()
        assert usual.pop("timestamp")[:10] == quick.pop("timestamp")[:10]
        assert quick == usual
        assert quick["secret"] == "[redacted]"

    def test_half_a_surrogate_pair_does_not_lose_the_line_of_a_delivery(self, lines: LogLines) -> None:
        log_delivery(logging.INFO, {"order_id": "\ud800"})
        (line,) = lines()
        assert line["order_id"] == "\ud800"

    def test_the_line_of_a_delivery_has_a_level_and_a_form_too(self, capsys: pytest.CaptureFixture[str]) -> None:
        configure_logging("WARNING", "json")
        log_delivery(logging.INFO, {"outcome": "created"})
        assert capsys.readouterr().out == ""
        configure_logging("INFO", "console")
        log_delivery(logging.INFO, {"outcome": "created", "http_status": 200, "event_status": "processed"})
        log_delivery(logging.DEBUG, {"outcome": "created"})
        (line,) = capsys.readouterr().out.splitlines()
        assert "200 processed" in line

    def test_configuring_twice_does_not_print_twice(self, capsys: pytest.CaptureFixture[str]) -> None:
        configure_logging("INFO", "json")
        configure_logging("INFO", "json")
        structlog.get_logger().info("once")
        assert len(capsys.readouterr().out.splitlines()) == 1


@pytest.mark.anyio
@pytest.mark.parametrize("level", ["DEBUG", "INFO"])
async def test_the_http_client_does_not_log_addresses(level: str, capsys: pytest.CaptureFixture[str]) -> None:
    configure_logging(level, "json")
    transport = httpx.MockTransport(lambda _request: httpx.Response(200))
    async with httpx.AsyncClient(transport=transport) as client:
        await client.post("https://hidden.supabase.co/rest/v1/rpc/hidden?apikey=hidden")
    assert "hidden" not in capsys.readouterr().out


class TestRedaction:
    @pytest.mark.parametrize("field", sorted(SECRET_FIELDS))
    def test_fields_that_may_hold_a_secret_show_nothing(self, field: str, lines: LogLines) -> None:
        structlog.get_logger().warning("delivery", **{field: "hidden", field.upper(): ["hidden"], "order_id": "shown"})
        (line,) = lines()
        assert line[field] == line[field.upper()] == "[redacted]"
        assert line["order_id"] == "shown"

    def test_what_is_bound_is_redacted_too(self, lines: LogLines) -> None:
        bind(billing_key="hidden")
        structlog.get_logger().bind(payload="hidden").info("delivery")
        unbind()
        (line,) = lines()
        assert line["billing_key"] == line["payload"] == "[redacted]"

    def test_covers_what_the_design_calls_secret(self) -> None:
        assert {"billing_key", "secret", "payload", "body", "change", "signature", "authorization", "apikey"} <= (
            SECRET_FIELDS
        )

    def test_leaves_the_rest_alone(self) -> None:
        event = {"event": "delivery", "outcome": "created", "secrets": 2}
        assert redact(None, "info", dict(event)) == event
