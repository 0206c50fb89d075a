import hashlib
import json
from decimal import Decimal
from typing import Any
from unittest.mock import patch

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from supatoss.errors import NotReadable, Reason
from supatoss.toss import delivery
from supatoss.toss.delivery import CUT, MAX_DEPTH, plain_number, read_body
from tests.support import Example, examples, raw_body

BODY_LIMIT = 256 * 1024

json_scalars = (
    st.none()
    | st.booleans()
    | st.integers(-(10**40) + 1, 10**40 - 1)
    | st.decimals(-(10**9), 10**9, places=3).map(float)
    | st.text()
)
json_values = st.recursive(
    json_scalars,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=8,
)
json_objects = st.dictionaries(st.text(), json_values, max_size=5)


def refusal(raw: bytes) -> NotReadable:
    with pytest.raises(NotReadable) as caught:
        read_body(raw)
    assert caught.value.http_status == 400
    assert caught.value.retry_can_help is False
    return caught.value


def test_a_byte_order_mark_is_passed_over() -> None:
    read = read_body(b'\xef\xbb\xbf{"a":1}')
    assert (read.text, read.key) == ('{"a":1}', read_body(b'{"a":1}').key)


class TestWhatIsRefused:
    @pytest.mark.parametrize(
        ("raw", "byte"),
        [
            (b"\xff{}", 0),
            (b'{"a":"\xc0\x80"}', 6),
            (b'{"a":"\xed\xa0\x80"}', 6),
            ('{"a":"가"}'.encode("euc-kr"), 6),
            ('{"a":1}'.encode("utf-16"), 0),
            ('{"a":"가"}'.encode()[:-4], 6),
        ],
        ids=["stray", "overlong", "surrogate", "euc-kr", "utf-16", "cut off"],
    )
    def test_bytes_that_are_not_utf8(self, raw: bytes, byte: int) -> None:
        error = refusal(raw)
        assert error.reason is Reason.NOT_UTF8
        assert error.message == f"The body is not UTF-8: byte {byte} does not belong there."

    @pytest.mark.parametrize(
        ("raw", "message"),
        [
            (b"", "The body is not JSON: Expecting value at character 0."),
            (b" \n", "The body is not JSON: Expecting value at character 2."),
            (b"{", "The body is not JSON: Expecting property name enclosed in double quotes at character 1."),
            (b"{}{}", "The body is not JSON: Extra data at character 2."),
            (b"eventType=DONE", "The body is not JSON: Expecting value at character 0."),
            (b"{'a':1}", "The body is not JSON: Expecting property name enclosed in double quotes at character 1."),
        ],
    )
    def test_text_that_is_not_json_with_the_place(self, raw: bytes, message: str) -> None:
        error = refusal(raw)
        assert error.reason is Reason.NOT_JSON
        assert error.message == message

    @pytest.mark.parametrize(
        "raw",
        [
            b'{"a":1,}',
            b'{"a":01}',
            b'{"a":.5}',
            b'{"a":+1}',
            b'{"a":"\n"}',
            b'{"a":"\x00"}',
            b'{"a":"\\x41"}',
            b'{"a":"\\u12"}',
            b'{"a":1}\x00',
            b'\xef\xbb\xbf\xef\xbb\xbf{"a":1}',
            b"]",
            b"]" * 300 + b"[" * 300,
            b'"' + b"[" * 300,
        ],
    )
    def test_other_text_that_is_not_json(self, raw: bytes) -> None:
        assert refusal(raw).reason is Reason.NOT_JSON

    @pytest.mark.parametrize("word", ["NaN", "Infinity", "-Infinity"])
    @pytest.mark.parametrize("template", ["%s", '{"totalAmount":%s}', '{"a":[{"b":%s}]}'])
    def test_numbers_that_json_does_not_have(self, word: str, template: str) -> None:
        assert refusal((template % word).encode()).reason is Reason.NOT_JSON

    @pytest.mark.parametrize(
        ("raw", "kind"),
        [
            (b"null", "null"),
            (b"true", "boolean"),
            (b"false", "boolean"),
            (b"0", "number"),
            (b"1.5", "number"),
            (b'"text"', "string"),
            (b"[]", "array"),
            (b'[{"eventType":"X"}]', "array"),
        ],
    )
    def test_json_that_is_not_an_object(self, raw: bytes, kind: str) -> None:
        error = refusal(raw)
        assert error.reason is Reason.NOT_AN_OBJECT
        assert error.message == f"The body is a JSON {kind}; an object was expected."


def nested(levels: int, opening: str = '{"a":', closing: str = "}") -> bytes:
    return f"{opening * (levels - 1)}{{}}{closing * (levels - 1)}".encode()


class TestDepth:
    def test_what_is_nested_deeper_than_32_levels_is_cut(self) -> None:
        assert MAX_DEPTH == 32
        assert CUT not in read_body(nested(32)).text
        body = read_body(nested(33))
        assert body.text.encode() == nested(32).replace(b"{}", f'{{"a":"{CUT}"}}'.encode())
        assert body.fields == json.loads(body.text)

    def test_arrays_count_like_objects(self) -> None:
        assert CUT not in read_body(b'{"a":' + b"[" * 31 + b"]" * 31 + b"}").text
        assert (
            read_body(b'{"a":' + b"[" * 32 + b"]" * 32 + b"}").text == '{"a":' + "[" * 31 + f'"{CUT}"' + "]" * 31 + "}"
        )

    def test_what_stands_beside_it_stays(self) -> None:
        raw = b'{"a":[' + nested(40) + b",1," + nested(50) + b'],"orderId":"order-1"}'
        body = read_body(raw)
        assert (body.text.count(CUT), body.fields["a"][1], body.fields["orderId"]) == (2, 1, "order-1")

    def test_two_bodies_that_differ_in_what_is_cut_are_two_events(self) -> None:
        one, other = (read_body(nested(40).replace(b"{}", inner)) for inner in (b"{}", b'{"b":1}'))
        assert one.text == other.text
        assert one.key != other.key
        assert one.key == read_body(nested(40)).key

    def test_breadth_is_not_depth(self) -> None:
        raw = raw_body({str(number): [{}] for number in range(500)})
        assert read_body(raw).text.encode() == raw

    @pytest.mark.parametrize("text", ["[" * 500, "{" * 500, "\\" * 501 + "[" * 500, '"[' * 500, "\\" + '"' + "[" * 500])
    def test_brackets_inside_strings_do_not_count(self, text: str) -> None:
        assert read_body(raw_body({"a": text, text: 1})).fields == {"a": text, text: 1}

    @pytest.mark.parametrize("text", ["]" * 500, "}" * 500, "\\" * 500])
    def test_closing_brackets_inside_strings_do_not_hide_depth(self, text: str) -> None:
        raw = raw_body({"a": text})[:-1] + b',"b":' + nested(100) + b"}"
        assert CUT in read_body(raw).text

    @pytest.mark.parametrize(
        "raw", [b'{"a":' * 50_000, b"[" * BODY_LIMIT, b'{"a":' + b"[" * 99 + b"1" + b"]" * 67 + b"}"]
    )
    def test_a_text_that_ends_too_deep_is_not_json(self, raw: bytes) -> None:
        assert refusal(raw).reason is Reason.NOT_JSON

    def test_depth_that_would_exhaust_a_parser_is_cut(self) -> None:
        assert len(read_body(b'{"a":' + b"[" * 100_000 + b"]" * 100_000 + b"}").text) < 100

    @pytest.mark.parametrize("pattern", ["_MARK", "_STRING_OR_LARGE_NUMBER"])
    @pytest.mark.parametrize(
        "raw",
        [
            b'{"a":"' + b'\\"[' * (BODY_LIMIT // 3) + b'"}',
            b'{"a":"' + b'\\"[' * (BODY_LIMIT // 3),
            b'{"a":"' + b"\\" * BODY_LIMIT + b"[" * 200,
            b'"' * BODY_LIMIT + b"[" * 200,
            b'{"a":' + b"1" * BODY_LIMIT + b"}",
            b'{"a":' + b"1." * (BODY_LIMIT // 2) + b"}",
            b'{"a":[' + b"-1e" * (BODY_LIMIT // 3) + b"]}",
        ],
        ids=["escaped quotes", "unfinished string", "backslashes", "quotes", "digits", "points", "signs"],
    )
    def test_a_look_at_a_text_takes_one_step_for_each_mark(self, raw: bytes, pattern: str) -> None:
        """Quadratic behaviour would need thousands of passes; one look over the text finds every mark once."""
        marks = getattr(delivery, pattern).findall(raw.decode())
        assert sum(map(len, marks)) <= len(raw)


class TestNumbers:
    @pytest.mark.parametrize(
        ("written", "number"),
        [
            ("0.1", Decimal("0.1")),
            ("12.50", Decimal("12.50")),
            ("5000.0", Decimal("5000.0")),
            ("0.30000000000000000000000000000000000001", Decimal("0.30000000000000000000000000000000000001")),
            ("1e3", Decimal("1e3")),
            ("1e-3", Decimal("0.001")),
            ("123456789012345678901234567890", 123456789012345678901234567890),
            ("-7", -7),
        ],
    )
    def test_are_exact_and_stored_as_they_were_written(self, written: str, number: Decimal | int) -> None:
        body = read_body(f'{{"a":{written}}}'.encode())
        assert body.fields["a"] == number
        assert type(body.fields["a"]) is type(number)
        assert body.text == f'{{"a":{written}}}'

    @pytest.mark.parametrize(
        "number", ["1e15", "-1.5E+3", "1e-14", "123e-3", "0.00000000000001", "1" * 40, "0." + "1" * 39]
    )
    def test_of_few_digits_stay_numbers(self, number: str) -> None:
        assert read_body(f'{{"a":{number}}}'.encode()).text == f'{{"a":{number}}}'

    @pytest.mark.parametrize(
        "number",
        [
            *("1e16", "-1E+400", "1e-16", "1e131071", "1e-99999999999999999999", "0e999"),
            *("1" * 41, "0." + "1" * 40, "1" * 5000, "1" * 40 + "e1", "-" + "1" * 200_000 + ".5"),
        ],
    )
    def test_of_many_digits_are_strings_of_the_same_characters(self, number: str) -> None:
        body = read_body(f'{{"a":[{number}, "{number}"],"b":{{"c":{number}}}}}'.encode())
        assert body.fields == {"a": [number, number], "b": {"c": number}}
        assert json.loads(body.text) == body.fields

    @pytest.mark.parametrize("number", ["01e99", "1.e99", ".1e99", "1e", "1." + "1" * 50 + ".1", "0" * 50])
    def test_what_is_no_number_does_not_become_one(self, number: str) -> None:
        assert refusal(f'{{"a":{number}}}'.encode()).reason is Reason.NOT_JSON

    def test_inside_a_string_do_not_slow_a_body_down(self) -> None:
        with patch.object(delivery, "_STRING_OR_LARGE_NUMBER", None):  # of the slow reader, which reads every string
            assert read_body(raw_body({"paymentKey": "t" + "1" * 40})).fields == {"paymentKey": "t" + "1" * 40}

    def test_a_large_number_and_the_string_of_its_digits_are_two_events(self) -> None:
        number, text = read_body(b'{"a":1e99}'), read_body(b'{"a":"1e99"}')
        assert number.fields == text.fields
        assert number.key != text.key
        assert number.key == read_body(b'{ "a" : 1e99 }').key

    @pytest.mark.parametrize(
        ("number", "plain"),
        [
            ("5000.0", 5000),
            ("12.5", 12.5),
            ("-0.01", -0.01),
            ("0", 0),
            ("1e3", 1000),
            ("999999999999999", 999999999999999),
            ("1e999999", "1E+999999"),
            ("0.12345678901234567890", "0.12345678901234567890"),
            ("12345678901234567890.5", "12345678901234567890.5"),
        ],
    )
    def test_in_json_again_read_the_same_or_are_text(self, number: str, plain: float | str) -> None:
        assert plain_number(Decimal(number)) == plain
        assert type(plain_number(Decimal(number))) is type(plain)

    @given(st.decimals(allow_nan=False, allow_infinity=False))
    @example(Decimal("1e-400"))
    @example(Decimal("1e15"))
    @example(Decimal("100000000000000.0"))
    def test_in_json_again_lose_nothing(self, number: Decimal) -> None:
        assert Decimal(str(plain_number(number))) == number

    @pytest.mark.parametrize("value", [None, "1", 1.5, object()])
    def test_only_decimals_need_it(self, value: object) -> None:
        with pytest.raises(TypeError):
            plain_number(value)


class TestStorableText:
    @pytest.mark.parametrize(
        ("raw", "fields"),
        [
            (rb'{"a":"x\u0000y"}', {"a": "x\ufffdy"}),
            (rb'{"a":"\ud800"}', {"a": "\ufffd"}),
            (rb'{"a":"\uDFFFz"}', {"a": "\ufffdz"}),
            (rb'{"a":"\ude00\ud83d"}', {"a": "\ufffd\ufffd"}),
            (rb'{"\u0000k":{"\udc00":[["\u0000"]]}}', {"\ufffdk": {"\ufffd": [["\ufffd"]]}}),
        ],
    )
    def test_what_postgresql_cannot_hold_is_replaced(self, raw: bytes, fields: dict[str, Any]) -> None:
        body = read_body(raw)
        assert body.fields == fields
        assert json.loads(body.text) == fields
        body.text.encode()

    @pytest.mark.parametrize(
        ("raw", "text"),
        [
            (rb'{"a":"\ud83d\ude00"}', "\U0001f600"),
            (rb'{"a":"\\u0000"}', "\\u0000"),
            (rb'{"a":"\\\\ud800"}', "\\\\ud800"),
            (b'{"a":"\xf0\x9f\x98\x80"}', "\U0001f600"),
            (rb'{"a":"\u0001\u001f\ufffe\uffff\ue000"}', "\x01\x1f\ufffe\uffff\ue000"),
        ],
    )
    def test_what_it_can_hold_stays(self, raw: bytes, text: str) -> None:
        body = read_body(raw)
        assert body.fields == {"a": text}
        assert json.loads(body.text) == {"a": text}

    def test_numbers_beside_a_replaced_character_stay_exact(self) -> None:
        body = read_body(rb'{"a":"\u0000","b":12.50,"c":5000.0,"d":0.1234567890123456789,"e":1}')
        assert body.text == '{"a":"\ufffd","b":12.5,"c":5000,"d":"0.1234567890123456789","e":1}'

    def test_two_bodies_that_look_alike_once_stored_are_still_two_events(self) -> None:
        assert read_body(rb'{"a":"\u0000"}').key != read_body(rb'{"a":"\ud800"}').key
        assert read_body(rb'{"a":"\u0000"}').key != read_body('{"a":"\ufffd"}'.encode()).key

    def test_korean_stays_as_it_was_sent(self) -> None:
        raw = '{"orderName":"가상 상품 외 1건","method":"카드"}'.encode()
        body = read_body(raw)
        assert body.text.encode() == raw
        assert body.fields == {"orderName": "가상 상품 외 1건", "method": "카드"}


class TestKey:
    def test_is_the_sha256_of_the_canonical_json(self) -> None:
        canonical = '{"a":[1,null],"b":"가"}'.encode()
        assert read_body('{ "b": "가", "a": [1, null] }'.encode()).key == hashlib.sha256(canonical).hexdigest()

    @pytest.mark.parametrize(
        "raw",
        [
            '{"a":1,"b":{"c":[1,2],"d":"가"}}',
            '{"b":{"d":"가","c":[1,2]},"a":1}',
            '\n{ "a" : 1,\r\n\t"b": {"c": [1, 2], "d": "가"} } ',
            '{"a":1,"b":{"c":[1,2],"d":"\\uac00"}}',
            '{"\\u0061":1,"b":{"c":[1,2],"d":"\\uAC00"}}',
        ],
    )
    def test_does_not_depend_on_order_whitespace_or_escapes(self, raw: str) -> None:
        assert read_body(raw.encode()).key == read_body('{"a":1,"b":{"c":[1,2],"d":"가"}}'.encode()).key

    def test_different_bodies_have_different_keys(self) -> None:
        raws = [
            "{}",
            '{"a":1}',
            '{"a":"1"}',
            '{"a":1.5}',
            '{"a":"1.5"}',
            '{"a":true}',
            '{"a":"true"}',
            '{"a":null}',
            '{"a":"null"}',
            '{"a":[1,2]}',
            '{"a":[2,1]}',
            '{"a":[]}',
            '{"a":{}}',
            '{"b":1}',
            '{"A":1}',
            '{"a":"가"}',
            '{"a":"\\\\uac00"}',
            '{"a":1,"b":1}',
        ]
        assert len({read_body(raw.encode()).key for raw in raws}) == len(raws)

    def test_one_event_has_one_key_and_a_re_send_the_same(self) -> None:
        keys: dict[str, list[str]] = {}
        for item in examples():
            keys.setdefault(read_body(item.raw).key, []).append(item.name)
        assert [names for names in keys.values() if len(names) > 1] == [
            ["payment_card_done", "payment_card_done_resend_1_same_body"]
        ]


def test_a_text_that_only_the_slower_reader_takes_has_the_key_of_its_object_too() -> None:
    twice = [read_body(raw) for raw in (b'{"b":1.50,"a":"\\ud800"}', b'{ "a" : "\\uD800", "b": 1.50 }')]
    assert twice[0].key == twice[1].key
    assert twice[0].key != read_body(b'{"a":"\\ud801","b":1.50}').key


@given(json_objects, st.sampled_from((None, 2)))
def test_both_readers_read_the_same(value: dict[str, Any], indent: int | None) -> None:
    raw = json.dumps(value, indent=indent).encode()
    quick = read_body(raw)
    with patch.object(delivery, "_decode", side_effect=ValueError):
        slow = read_body(raw)
    assert (slow.key, slow.fields, slow.text) == (quick.key, quick.fields, quick.text)


@pytest.mark.parametrize("item", examples(), ids=lambda item: item.name)
def test_every_example_is_read_and_stored_as_it_was_sent(item: Example) -> None:
    body = read_body(item.raw)
    assert body.text.encode() == item.raw
    assert json.loads(json.dumps(body.fields, default=float)) == item.body


def test_a_body_of_the_whole_limit_is_read() -> None:
    raw = raw_body({"a": "가" * ((BODY_LIMIT - 8) // 3)})
    assert BODY_LIMIT - 3 < len(raw) <= BODY_LIMIT
    assert read_body(raw).text.encode() == raw


def test_the_last_of_two_fields_of_one_name_counts() -> None:
    assert read_body(b'{"a":1,"a":2}').fields == {"a": 2}


def test_a_body_shows_its_key_and_nothing_else_in_its_repr() -> None:
    body = read_body(b'{"secret":"ps_hidden","billingKey":"bk_hidden"}')
    assert "hidden" not in repr(body)
    assert body.key in repr(body)


@given(st.binary() | st.text().map(str.encode) | st.from_regex(rb'[{}\[\]",:0-9eE.+\-\\u]*', fullmatch=True))
@example(b'{"a":"\\ud83d"}')
@example(b'{"a":1e-99999999999999999999}')
@example(b'{"\\u0000":1,"\\ud800":2}')
def test_any_bytes_are_a_body_or_not_readable(raw: bytes) -> None:
    try:
        body = read_body(raw)
    except NotReadable as error:
        assert error.reason in (Reason.NOT_UTF8, Reason.NOT_JSON, Reason.NOT_AN_OBJECT)  # noqa: PT017
        return
    assert isinstance(body.fields, dict)
    assert len(body.key) == 64
    body.text.encode()


@given(json_objects)
def test_any_object_survives_reading(value: dict[str, Any]) -> None:
    for raw in (json.dumps(value).encode(), raw_body(value)):
        body = read_body(raw)
        assert json.loads(body.text.encode()) == json.loads(json.dumps(value).replace("\\u0000", "\\ufffd"))
        assert "\0" not in json.dumps(json.loads(body.text), ensure_ascii=False)
    assert read_body(raw).key == read_body(json.dumps(value, indent=2).encode()).key
