"""What a delivery leaves behind: its headers in the record, one line in the log, one count, and never a 500."""

import asyncio
import json
from typing import Any

import pytest
from hypothesis import example as also
from hypothesis import given
from hypothesis import strategies as st

from supatoss.errors import StoreRefused, StoreUnavailable
from supatoss.toss.delivery import ID_HEADER, RETRIED_COUNT_HEADER, SIGNATURE_HEADER, TIME_HEADER, read_body
from supatoss.toss.signature import sign_hex, sign_v1
from tests.support import (
    GUIDE_BODIES,
    GUIDE_PAYMENT,
    NEWER_KEY,
    OLDER_SECURITY_KEY,
    SECRET_KEY,
    SECURITY_KEY,
    TRANSMISSION_TIME,
    example,
    examples,
    raw_body,
    signed_headers,
    v1_signed_headers,
)
from tests.unit.bodies import any_body
from tests.unit.fakes import LogLines, Service, deliveries_counted, deliveries_timed, signed

pytestmark = pytest.mark.anyio

RAW = raw_body(GUIDE_PAYMENT)


class TestHeaders:
    @pytest.mark.parametrize(
        ("value", "expected"),
        [
            (b"0", 0),
            (b"7", 7),
            (b"0007", 7),
            (b"9999", 9999),
            (b"10001", None),
            (b"99999999999999999999999999", None),
            (b"9" * 5000, None),
            (b"-1", None),
            (b"+1", None),
            (b"1.0", None),
            (b"1e3", None),
            (b" 1x", None),
            (b"", None),
            (b"\xb2", None),
            (b"\xff", None),
            ("１".encode(), None),
        ],
    )
    async def test_a_re_send_count_is_a_small_number_or_unknown(
        self, service: Service, value: bytes, expected: int | None
    ) -> None:
        response = await service.send(RAW, signed(RAW, (RETRIED_COUNT_HEADER.encode(), value)))
        assert response.status_code == 200
        (record,) = service.store.records.values()
        assert record["transmission_retried_count"] == expected

    @pytest.mark.parametrize(("header", "column"), [(ID_HEADER, "transmission_id"), ("user-agent", "user_agent")])
    @pytest.mark.parametrize(
        ("value", "expected"),
        [
            (b"whtrans_a01kkmyxm9nts3gkk83nszeh0vx", "whtrans_a01kkmyxm9nts3gkk83nszeh0vx"),
            (b"x" * 201, "x" * 200),
            (b"\xe9", "é"),
            (b"a\x00b", None),
            (b"a\x7fb", None),
            (b"\xad", None),
            (b"", None),
        ],
    )
    async def test_a_transmission_id_and_a_user_agent_are_printable_and_short_or_unknown(
        self, service: Service, header: str, column: str, value: bytes, expected: str | None
    ) -> None:
        response = await service.send(RAW, signed(RAW, (header.encode(), value)))
        assert response.status_code == 200
        (record,) = service.store.records.values()
        assert record[column] == expected

    async def test_several_signature_headers_are_one_list(self, service: Service) -> None:
        right = sign_v1(RAW, TRANSMISSION_TIME, SECURITY_KEY).encode()
        name = SIGNATURE_HEADER.encode()
        sent_at = (TIME_HEADER.encode(), TRANSMISSION_TIME.encode())
        for values in ([b"v1:AAAA", right], [right, b"v1:AAAA"], [b"\xff\xfe", right]):
            response = await service.send(RAW, [sent_at, *((name, value) for value in values)])
            assert response.status_code == 200
        hex_form = sign_hex(RAW, TRANSMISSION_TIME, SECRET_KEY).encode()
        response = await service.send(RAW, [sent_at, (name, b"0" * 64), (name, hex_form)])
        assert response.status_code == 401

    @pytest.mark.parametrize("name", [SIGNATURE_HEADER, TIME_HEADER])
    async def test_bytes_beyond_ascii_are_invalid_and_no_error(self, service: Service, name: str) -> None:
        headers = [(key, value) for key, value in signed(RAW) if key != name.encode()]
        for value in (b"\xff", "가".encode(), b"\x00", b"v1:\xff"):
            assert (await service.send(RAW, [*headers, (name.encode(), value)])).status_code == 401

    async def test_the_signature_covers_the_bytes_of_a_time_and_not_its_meaning(self, service: Service) -> None:
        response = await service.send(RAW, signed_headers(RAW, sent_at="2026-03-14T01:21:08.50Z"))
        assert response.status_code == 200
        (record,) = service.store.records.values()
        assert record["transmission_time"] == "2026-03-14T01:21:08.500000+00:00"

    async def test_names_of_headers_are_case_insensitive(self, service: Service) -> None:
        headers = [(key.title(), value) for key, value in signed(RAW)]
        assert (await service.send(RAW, headers)).status_code == 200

    @pytest.mark.parametrize("content_type", ["text/plain", "application/x-www-form-urlencoded", "\xff", ""])
    async def test_the_content_type_does_not_matter(self, service: Service, content_type: str) -> None:
        headers = [(b"content-type", content_type.encode("latin-1")), *signed(RAW)[1:]]
        assert (await service.send(RAW, headers)).status_code == 200


class TestLog:
    async def test_one_line_tells_what_became_of_a_delivery(self, service: Service, lines: LogLines) -> None:
        await service.send(RAW, signed_headers(RAW))
        (line,) = lines()
        assert line.pop("timestamp")
        assert line.pop("milliseconds") >= 0
        key = read_body(RAW).key
        assert line == {
            "event": "delivery",
            "level": "info",
            "outcome": "created",
            "reason": None,
            "http_status": 200,
            "event_key": key,
            "event_id": f"id-of-{key[:8]}",
            "event_type": "PAYMENT_STATUS_CHANGED",
            "event_status": "processed",
            "event_reason": None,
            "order_id": "order_123456",
            "amount": "9900",
            "payment_status": "DONE",
            "proof": "signature",
            "signature_check": "hex",
        }

    async def test_the_form_of_the_signature_that_was_right_is_noted(self, service: Service, lines: LogLines) -> None:
        for name in ("payout_changed_completed", "payout_changed_failed"):
            await service.send(example(name).raw, example(name).headers)
        assert [line["signature_check"] for line in lines()] == ["v1_text_key", "v1_decoded_key"]

    async def test_nothing_of_one_delivery_is_in_the_line_of_the_next(self, service: Service, lines: LogLines) -> None:
        await service.send(RAW, signed_headers(RAW))
        await service.send(RAW)
        _, line = lines()
        assert "event_key" not in line
        assert "event_type" not in line
        assert "proof" not in line
        assert line["signature_check"] == "missing"

    async def test_deliveries_at_the_same_time_do_not_mix_their_lines(self, service: Service, lines: LogLines) -> None:
        raws = [raw_body({"eventType": f"TYPE_{number}"}) for number in range(20)]
        await asyncio.gather(*(service.send(raw, signed_headers(raw)) for raw in raws))
        expected = {read_body(raw).key: f"TYPE_{number}" for number, raw in enumerate(raws)}
        assert {line["event_key"]: line["event_type"] for line in lines()} == expected

    @pytest.mark.parametrize(
        "trouble", [None, StoreUnavailable("away"), StoreRefused("no grant"), RuntimeError("a defect")]
    )
    async def test_no_secret_of_a_body_or_header_is_in_any_line(
        self, service: Service, lines: LogLines, trouble: Exception | None
    ) -> None:
        service.store.trouble = trouble
        bodies: list[dict[str, Any]] = [
            *GUIDE_BODIES,
            *(item.body for item in examples()),
            {
                "eventType": "PAYMENT_STATUS_CHANGED",
                "data": {"orderId": 5, "totalAmount": "hidden", "secret": "hidden"},
            },
        ]
        secrets = {"hidden", SECRET_KEY, SECURITY_KEY, OLDER_SECURITY_KEY, NEWER_KEY, "sb_secret_hidden"}
        for body in bodies:
            raw = raw_body(body)
            data = body.get("data") or {}
            secrets |= {value for name in ("secret", "billingKey") if (value := data.get(name) or body.get(name))}
            for headers in (signed_headers(raw), v1_signed_headers(raw), signed_headers(raw, "wrong")):
                secrets |= set(headers[SIGNATURE_HEADER].split(","))
                await service.send(raw, headers)
        text = lines.text()
        deliveries = [line for line in map(json.loads, text.splitlines()) if line["event"] == "delivery"]
        assert len(deliveries) == 3 * len(bodies)
        assert [secret for secret in secrets if secret in text] == []
        assert [name for name in ("홍길동", "구매자 변심", "X0000000000001") if name in text] == []

    async def test_a_defect_whose_message_holds_a_secret_does_not_show_it(
        self, service: Service, lines: LogLines
    ) -> None:
        service.store.trouble = KeyError("billing_key_hidden")
        await service.send(RAW, signed_headers(RAW))
        assert "hidden" not in lines.text()


class TestMetrics:
    async def test_every_delivery_is_counted_and_timed_once(self, service: Service) -> None:
        before = (
            deliveries_counted("created"),
            deliveries_counted("duplicate"),
            deliveries_counted("rejected", "not_json"),
            deliveries_timed(),
        )
        await service.send(RAW, signed_headers(RAW))
        await service.send(RAW, signed_headers(RAW))
        await service.send(RAW, signed_headers(RAW))
        await service.send(b"x", signed_headers(b"x"))
        after = (
            deliveries_counted("created"),
            deliveries_counted("duplicate"),
            deliveries_counted("rejected", "not_json"),
            deliveries_timed(),
        )
        assert [new - old for new, old in zip(after, before, strict=True)] == [1, 2, 1, 4]

    async def test_requests_that_are_no_deliveries_are_not_counted(self, service: Service) -> None:
        before = deliveries_timed()
        await service.send(method="GET")
        await service.send(path="/healthz", method="GET")
        assert deliveries_timed() == before


header_names = st.sampled_from(
    [
        name.encode()
        for name in (SIGNATURE_HEADER, TIME_HEADER, ID_HEADER, RETRIED_COUNT_HEADER, "content-length", "content-type")
    ]
) | st.from_regex(rb"[a-z0-9_-]{1,8}", fullmatch=True)
header_values = (
    st.binary(max_size=20)
    | st.from_regex(rb"[0-9]{1,30}", fullmatch=True)
    | st.sampled_from([b"v1:", b"v1:" + b"A" * 43 + b"=", b"0" * 64, b"9" * 5000, TRANSMISSION_TIME.encode()])
)
header_lists = st.lists(st.tuples(header_names, header_values), max_size=6)
bodies = st.binary(max_size=200) | any_body().map(lambda body: json.dumps(body).encode())


class TestAnything:
    """No bytes and no headers give a 500, or an exception that leaves the application, or a 503."""

    @given(raw=bodies, headers=header_lists)
    @also(raw=b"{}", headers=[(b"content-length", b"9" * 5000)])
    @also(raw=b"{}", headers=[(b"content-length", "２".encode())])
    def test_without_a_valid_signature_is_refused(self, raw: bytes, headers: list[tuple[bytes, bytes]]) -> None:
        service = Service()
        service.log_output()
        response = asyncio.run(service.send(raw, headers))
        assert response.status_code in (401, 413)
        assert service.store.records == {}

    @given(raw=bodies, headers=header_lists, sent_at=st.binary(max_size=30))
    def test_with_a_valid_signature_is_stored_or_not_readable(
        self, raw: bytes, headers: list[tuple[bytes, bytes]], sent_at: bytes
    ) -> None:
        own = {SIGNATURE_HEADER.encode(), TIME_HEADER.encode(), b"content-length"}
        mac = sign_hex(raw, TRANSMISSION_TIME, SECRET_KEY).encode()
        others = [(name, value) for name, value in headers if name.lower() not in own]
        service = Service()
        service.log_output()
        made = [*others, (SIGNATURE_HEADER.encode(), mac), (TIME_HEADER.encode(), TRANSMISSION_TIME.encode())]
        made.append((TIME_HEADER.encode(), sent_at))  # the first one counts
        response = asyncio.run(service.send(raw, made))
        assert response.status_code in (200, 400)
        assert len(service.store.records) == (response.status_code == 200)
