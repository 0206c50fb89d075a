import asyncio
import datetime as dt
from collections.abc import AsyncIterator, Callable
from typing import Any, ClassVar

import pytest
from starlette.types import Message

from supatoss.app import WEBHOOK_PATHS
from supatoss.errors import StoreRefused, StoreUnavailable
from supatoss.receiving import PROBE_HEADER
from supatoss.toss.delivery import ID_HEADER, RETRIED_COUNT_HEADER, SIGNATURE_HEADER, TIME_HEADER, read_body
from supatoss.toss.fields import SEOUL
from supatoss.toss.signature import sign_hex
from tests.support import (
    GUIDE_BILLING_KEY,
    GUIDE_DEPOSIT,
    GUIDE_PAYMENT,
    NEWER_KEY,
    OLDER_SECURITY_KEY,
    SECRET_KEY,
    SECURITY_KEY,
    TRANSMISSION_TIME,
    Example,
    example,
    examples,
    raw_body,
    signed_headers,
    v1_signed_headers,
)
from tests.unit.fakes import LogLines, Service, deliveries_counted, signed

pytestmark = pytest.mark.anyio

RAW = raw_body(GUIDE_PAYMENT)
PATHS = [variant for path in WEBHOOK_PATHS for variant in (path, f"{path}/")]


class TestStored:
    @pytest.mark.parametrize("path", PATHS)
    async def test_a_signed_delivery_is_created_and_its_repetition_a_duplicate(
        self, service: Service, path: str
    ) -> None:
        expected = {"event": f"id-of-{read_body(RAW).key[:8]}", "event_status": "processed"}
        first = await service.send(RAW, signed_headers(RAW), path)
        assert (first.status_code, first.json()) == (200, {"status": "created", **expected})
        assert first.headers["content-type"] == "application/json"
        again = await service.send(RAW, signed_headers(RAW, sent_at="2026-03-14T10:22:09+09:00"), path)
        assert (again.status_code, again.json()) == (200, {"status": "duplicate", **expected})
        assert len(service.store.records) == 1

    @pytest.mark.parametrize(
        ("body", "status"),
        [
            (GUIDE_PAYMENT, "processed"),
            (GUIDE_DEPOSIT, "pending"),
            (GUIDE_BILLING_KEY, "processed"),
            ({"eventType": "SOMETHING_NEW_HAPPENED"}, "ignored"),
            ({}, "ignored"),
            ({"eventType": "PAYMENT_STATUS_CHANGED", "data": {"orderId": "o", "status": "NEW"}}, "failed"),
            ({"eventType": "PAYMENT_STATUS_CHANGED", "data": None}, "failed"),
            ({"eventType": "PAYMENT_STATUS_CHANGED", "data": {"orderId": "o", "totalAmount": -1}}, "failed"),
        ],
    )
    async def test_every_object_that_is_signed_is_stored(
        self, service: Service, body: dict[str, Any], status: str
    ) -> None:
        response = await service.send(raw_body(body), signed_headers(raw_body(body)))
        assert (response.status_code, response.json()["status"], response.json()["event_status"]) == (
            200,
            "created",
            status,
        )

    @pytest.mark.parametrize("item", examples(), ids=lambda item: item.name)
    async def test_an_example_is_stored_exactly_if_its_own_signature_is_valid(
        self, service: Service, item: Example
    ) -> None:
        is_valid = SIGNATURE_HEADER in item.headers and not item.name.endswith("_bad_signature")
        response = await service.send(item.raw, item.headers)
        assert response.status_code == (200 if is_valid else 401)
        assert len(service.store.records) == is_valid

    @pytest.mark.parametrize("key", [SECURITY_KEY, OLDER_SECURITY_KEY])
    async def test_the_form_of_toss_is_taken_with_either_key(self, service: Service, key: str) -> None:
        raw = example("payout_changed_completed").raw
        assert (await service.send(raw, v1_signed_headers(raw, key))).status_code == 200

    @pytest.mark.parametrize("key", [NEWER_KEY, SECRET_KEY])
    async def test_the_form_of_the_guide_is_taken_with_either_key(self, service: Service, key: str) -> None:
        assert (await service.send(RAW, signed_headers(RAW, key))).status_code == 200

    async def test_what_is_stored_is_the_body_as_it_came_with_its_proof_and_headers(self, service: Service) -> None:
        raw = b'{ "orderName": "\xea\xb0\x80", "amount": 1.50 }'
        await service.send(
            raw, signed(raw, (ID_HEADER.encode(), b"whtrans_a01"), (RETRIED_COUNT_HEADER.encode(), b"6"))
        )
        (record,) = service.store.records.values()
        assert record["payload"].encode() == raw
        assert record["proof"] == "signature"
        assert record["transmission_id"] == "whtrans_a01"
        assert record["transmission_retried_count"] == 6
        assert record["transmission_time"] == "2026-03-14T01:21:08+00:00"
        assert record["event_key"] == read_body(raw).key

    async def test_a_body_of_the_whole_limit_is_stored(self) -> None:
        service = Service(max_body_bytes=1024)
        raw = raw_body({"a": "x" * 1016})
        assert len(raw) == 1024
        assert (await service.send(raw, signed_headers(raw))).status_code == 200


class TestNotGenuine:
    @pytest.mark.parametrize(
        ("name", "headers"),
        [
            ("none at all", {}),
            ("no signature", {TIME_HEADER: TRANSMISSION_TIME}),
            ("no time", {SIGNATURE_HEADER: sign_hex(RAW, TRANSMISSION_TIME, SECRET_KEY)}),
            ("empty", {**signed_headers(RAW), SIGNATURE_HEADER: ""}),
            ("another key", signed_headers(RAW, "test_sk_of_somebody_else")),
            ("another time", {**signed_headers(RAW), TIME_HEADER: "2026-03-14T10:21:09+09:00"}),
            ("another body", signed_headers(RAW + b" ")),
            ("upper case", {**signed_headers(RAW), SIGNATURE_HEADER: signed_headers(RAW)[SIGNATURE_HEADER].upper()}),
            ("security key as hex", signed_headers(RAW, SECURITY_KEY)),
            ("secret key as v1", v1_signed_headers(RAW, SECRET_KEY)),
            ("a name from blogs", {"toss-signature": signed_headers(RAW)[SIGNATURE_HEADER], TIME_HEADER: "now"}),
        ],
    )
    @pytest.mark.parametrize("path", PATHS)
    async def test_is_answered_401_with_the_text_of_the_guide(
        self, service: Service, name: str, headers: dict[str, str], path: str
    ) -> None:
        response = await service.send(RAW, headers, path)
        assert (response.status_code, response.content) == (401, b"Invalid signature"), name
        assert response.headers["content-type"] == "text/plain; charset=utf-8"
        assert service.store.records == {}

    @pytest.mark.parametrize("raw", [b"", b"not json", b"\xff\xfe", b"[]", b"[" * 1000, b'{"a":NaN}'])
    async def test_is_found_before_the_body_is_parsed(self, service: Service, raw: bytes) -> None:
        assert (await service.send(raw)).status_code == 401
        assert (await service.send(raw, signed_headers(raw, "wrong"))).status_code == 401
        assert (await service.send(raw, signed_headers(raw))).status_code == 400

    @pytest.mark.parametrize("item", ["payout_changed_signature_missing", "forged_done_without_toss_headers"])
    async def test_unsigned_deliveries_are_counted_apart_from_badly_signed_ones(
        self, service: Service, lines: LogLines, item: str
    ) -> None:
        before = (
            deliveries_counted("rejected", "missing_signature"),
            deliveries_counted("rejected", "invalid_signature"),
        )
        await service.send(example(item).raw, example(item).headers)
        await service.send(example(item).raw, signed_headers(b""))
        assert [line["reason"] for line in lines()] == ["missing_signature", "invalid_signature"]
        after = deliveries_counted("rejected", "missing_signature"), deliveries_counted("rejected", "invalid_signature")
        assert after == (before[0] + 1, before[1] + 1)


class TestNotReadable:
    @pytest.mark.parametrize(
        ("raw", "reason", "message"),
        [
            (b"", "not_json", "The body is not JSON: Expecting value at character 0."),
            (
                b"{",
                "not_json",
                "The body is not JSON: Expecting property name enclosed in double quotes at character 1.",
            ),
            (b'{"a":NaN}', "not_json", "The body is not JSON: a number in it is out of range."),
            (b"\xff", "not_utf8", "The body is not UTF-8: byte 0 does not belong there."),
            (b"[]", "not_an_object", "The body is a JSON array; an object was expected."),
            (b"null", "not_an_object", "The body is a JSON null; an object was expected."),
        ],
    )
    async def test_is_answered_400_with_what_was_expected(
        self, service: Service, lines: LogLines, raw: bytes, reason: str, message: str
    ) -> None:
        before = deliveries_counted("rejected", reason)
        response = await service.send(raw, signed_headers(raw))
        assert (response.status_code, response.json()) == (400, {"error": reason, "message": message})
        assert service.store.records == {}
        assert deliveries_counted("rejected", reason) == before + 1
        (line,) = lines()
        assert (line["outcome"], line["reason"], line["http_status"]) == ("rejected", reason, 400)


class TestOtherRequests:
    @pytest.mark.parametrize("path", PATHS)
    @pytest.mark.parametrize("method", ["GET", "HEAD", "PUT", "PATCH", "DELETE", "OPTIONS"])
    async def test_another_method_is_answered_405_with_what_is_allowed(
        self, service: Service, path: str, method: str
    ) -> None:
        response = await service.send(method=method, path=path)
        assert (response.status_code, response.headers["allow"]) == (405, "POST")

    @pytest.mark.parametrize(
        "path", ["/", "/webhooks", "/webhooks/toss/x", "/webhooks/toss//", "/functions/v1/webhooks"]
    )
    async def test_another_path_is_answered_404_and_never_redirected(self, service: Service, path: str) -> None:
        assert (await service.send(RAW, signed_headers(RAW), path)).status_code == 404


class TestFreshness:
    """Toss sends for 3 days 19 hours at most; a captured delivery is worth nothing later."""

    @pytest.fixture
    def service(self) -> Service:
        return Service(signature_max_age_hours=102)

    @pytest.mark.parametrize(
        ("age", "is_fresh"),
        [
            (dt.timedelta(0), True),
            (dt.timedelta(days=4, hours=5, minutes=59), True),
            (dt.timedelta(days=4, hours=6, minutes=1), False),
            (dt.timedelta(minutes=-9), True),
            (dt.timedelta(minutes=-11), False),
            (dt.timedelta(days=9000), False),
            (dt.timedelta(days=-26000), False),
        ],
    )
    @pytest.mark.parametrize("form", [signed_headers, v1_signed_headers])
    async def test_a_signature_counts_for_four_days(
        self, service: Service, form: Callable[..., dict[str, str]], age: dt.timedelta, is_fresh: bool
    ) -> None:
        before = deliveries_counted("rejected", "stale")
        sent_at = (dt.datetime.now(dt.UTC) - age).isoformat(timespec="seconds")
        response = await service.send(RAW, form(RAW, sent_at=sent_at))
        assert response.status_code == (200 if is_fresh else 401)
        assert (response.text == "Invalid signature") == (not is_fresh)
        assert deliveries_counted("rejected", "stale") - before == (not is_fresh)
        assert len(service.store.records) == is_fresh

    @pytest.mark.parametrize("sent_at", ["", "now", "1773451268", "9" * 4000, "2026-13-14T10:21:08+09:00"])
    async def test_a_time_that_cannot_be_read_is_stale(self, service: Service, sent_at: str) -> None:
        assert (await service.send(RAW, signed_headers(RAW, sent_at=sent_at))).status_code == 401

    async def test_a_time_without_an_offset_is_korean(self, service: Service) -> None:
        sent_at = dt.datetime.now(SEOUL).replace(tzinfo=None).isoformat()
        assert (await service.send(RAW, signed_headers(RAW, sent_at=sent_at))).status_code == 200


class TestSizeAndSpeed:
    TOO_LARGE: ClassVar[dict[str, str]] = {"error": "too_large", "message": "The body is longer than 1024 bytes."}

    @pytest.fixture
    def service(self) -> Service:
        return Service(max_body_bytes=1024, answer_deadline_seconds=0.1)

    @pytest.mark.parametrize("announced", ["1025", "99999999999999999999", "9" * 5000])
    async def test_a_body_announced_as_too_large_is_not_read(
        self, service: Service, lines: LogLines, announced: str
    ) -> None:
        touched = False

        async def content() -> AsyncIterator[bytes]:
            nonlocal touched
            touched = True
            yield b"{}"

        response = await service.send(content(), {"content-length": announced})
        assert (response.status_code, response.json()) == (413, self.TOO_LARGE)
        assert not touched
        assert [(line["event"], line["reason"]) for line in lines()] == [("delivery", "too_large")]

    @pytest.mark.parametrize(
        "headers", [{}, {"content-length": "2"}, {"content-length": "-1"}, {"content-length": "x"}]
    )
    async def test_a_body_that_turns_out_too_large_is_not_read_to_its_end(
        self, service: Service, headers: dict[str, str]
    ) -> None:
        pieces = 0

        async def content() -> AsyncIterator[bytes]:
            nonlocal pieces
            while True:
                pieces += 1
                yield b"x" * 500

        response = await service.send(content(), headers)
        assert (response.status_code, response.json()) == (413, self.TOO_LARGE)
        assert pieces <= 4

    async def test_one_byte_above_the_limit_is_too_large_even_when_signed(self, service: Service) -> None:
        raw = raw_body({"a": "x" * 1017})
        assert (await service.send(raw, signed_headers(raw))).status_code == 413

    @pytest.mark.parametrize(("length", "status"), [(1024, 401), (1025, 413)])
    async def test_the_limit_is_the_same_for_a_body_of_unknown_length(
        self, service: Service, length: int, status: int
    ) -> None:
        async def content() -> AsyncIterator[bytes]:
            for _ in range(length):
                yield b"x"

        assert (await service.send(content())).status_code == status

    async def test_a_body_that_does_not_arrive_is_answered_408_in_half_the_deadline(
        self, service: Service, lines: LogLines
    ) -> None:
        before = deliveries_counted("rejected", "too_slow")

        async def content() -> AsyncIterator[bytes]:
            yield b'{"a":'
            await asyncio.Event().wait()

        response = await service.send(content(), signed_headers(RAW))
        message = "The body did not arrive within 0.05 seconds."
        assert (response.status_code, response.json()) == (408, {"error": "too_slow", "message": message})
        assert deliveries_counted("rejected", "too_slow") == before + 1
        (line,) = lines()
        assert (line["outcome"], line["reason"], line["http_status"]) == ("rejected", "too_slow", 408)


class TestNotStored:
    COME_AGAIN: ClassVar[dict[str, str]] = {
        "error": "unavailable",
        "message": "The event is not stored. Send it again.",
    }

    @pytest.mark.parametrize(
        ("trouble", "reason"),
        [
            (StoreUnavailable("no answer from the Data API: ConnectError"), "store_unavailable"),
            (StoreRefused("the Data API refuses the call: PGRST202"), "store_refused"),
            (TimeoutError(), "deadline"),
            (RuntimeError("a defect"), "internal"),
            (ValueError(), "internal"),
            (RecursionError(), "internal"),
            (MemoryError(), "internal"),
        ],
        ids=lambda value: type(value).__name__ if isinstance(value, Exception) else value,
    )
    @pytest.mark.parametrize("path", PATHS[:2])
    async def test_is_answered_503_with_retry_after(
        self, service: Service, lines: LogLines, trouble: Exception, reason: str, path: str
    ) -> None:
        before = deliveries_counted("failed", reason)
        service.store.trouble = trouble
        response = await service.send(RAW, signed_headers(RAW), path)
        assert (response.status_code, response.json()) == (503, self.COME_AGAIN)
        assert response.headers["retry-after"] == "60"
        assert deliveries_counted("failed", reason) == before + 1
        line = lines()[-1]
        assert (line["event"], line["outcome"], line["reason"]) == ("delivery", "failed", reason)
        assert (line["level"], line["http_status"]) == ("warning", 503)

    async def test_a_store_that_hangs_is_not_waited_for_beyond_the_deadline(self) -> None:
        service = Service(answer_deadline_seconds=0.02)
        lines = service.log_output()
        service.store.hangs = True
        response = await service.send(RAW, signed_headers(RAW))
        assert (response.status_code, response.json()) == (503, self.COME_AGAIN)
        assert response.headers["retry-after"] == "60"
        (line,) = lines()
        assert (line["outcome"], line["reason"]) == ("failed", "deadline")
        assert line["milliseconds"] >= 20

    async def test_and_stored_when_it_comes_again(self, service: Service) -> None:
        service.store.trouble = StoreUnavailable("away")
        assert (await service.send(RAW, signed_headers(RAW))).status_code == 503
        service.store.trouble = None
        response = await service.send(RAW, signed_headers(RAW))
        assert (response.status_code, response.json()["status"]) == (200, "created")

    async def test_what_a_person_has_to_mend_is_marked_in_the_log(self, service: Service, lines: LogLines) -> None:
        for trouble in (StoreUnavailable("away"), StoreRefused("no grant")):
            service.store.trouble = trouble
            await service.send(RAW, signed_headers(RAW))
        assert [(line["error"], line["retry_can_help"]) for line in lines()] == [("away", True), ("no grant", False)]

    async def test_an_unexpected_error_leaves_its_frames_beside_the_line_of_the_delivery(
        self, service: Service, lines: LogLines
    ) -> None:
        service.store.trouble = RuntimeError("a defect")
        await service.send(RAW, signed_headers(RAW))
        unexpected, delivery = lines()
        assert (unexpected["event"], unexpected["level"]) == ("unexpected error", "error")
        assert unexpected["error"] == "RuntimeError"
        assert any("record_webhook_events" in frame for frame in unexpected["frames"])
        assert unexpected["event_key"] == delivery["event_key"] == read_body(RAW).key

    async def test_a_sender_that_goes_away_is_noted_and_nothing_is_stored(
        self, service: Service, lines: LogLines
    ) -> None:
        before = deliveries_counted("rejected", "disconnected")
        received: list[Message] = [
            {"type": "http.request", "body": RAW[:10], "more_body": True},
            {"type": "http.disconnect"},
        ]
        sent: list[Message] = []

        async def receive() -> Message:
            return received.pop(0)

        async def send(message: Message) -> None:
            sent.append(message)

        scope = {
            "type": "http",
            "method": "POST",
            "path": "/webhooks/toss",
            "headers": signed(RAW),
            "query_string": b"",
        }
        await service.app(scope, receive, send)
        assert sent[0]["status"] == 503
        assert service.store.records == {}
        assert deliveries_counted("rejected", "disconnected") == before + 1
        assert [line["reason"] for line in lines()] == ["disconnected"]


async def test_a_probe_of_our_own_is_no_rejected_delivery_and_no_delivery_hides_as_one() -> None:
    service = Service()
    raw = b'{"eventType":"payout.changed"}'
    counted = {outcome: deliveries_counted(outcome, "missing_signature") for outcome in ("probe", "rejected")}
    assert (await service.send(raw, {PROBE_HEADER: "doctor"})).status_code == 401
    assert deliveries_counted("probe", "missing_signature") == counted["probe"] + 1
    assert deliveries_counted("rejected", "missing_signature") == counted["rejected"]
    created = deliveries_counted("created")
    genuine = signed(RAW, (PROBE_HEADER.encode(), b"doctor"))
    assert (await service.send(RAW, genuine)).status_code == 200
    assert deliveries_counted("created") == created + 1
    assert len(service.store.records) == 1
    await service.refused.flush()
    assert service.store.noted == []
