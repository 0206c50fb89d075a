"""What is sent: real bodies with odd values in odd places, senseless JSON, damaged bytes, and heads of requests."""

import json
from collections.abc import Iterator, Sequence
from typing import Any

from hypothesis import strategies as st

from supatoss.toss.delivery import ID_HEADER, RETRIED_COUNT_HEADER, SIGNATURE_HEADER, TIME_HEADER
from tests.support import GUIDE_BODIES, TRANSMISSION_TIME, examples
from tests.unit.bodies import any_body

Draw = st.DrawFn
Place = tuple[Any, ...]

LITERALS = (
    *("null", "true", "0", "-0", "-1", "1e2", "0.1", "1.0", "1E+2", "9007199254740993", "1e308", "1e-400", "1e400"),
    *("1e131071", "[" + ",".join(["1e131071"] * 50) + "]", "-1e-16383", "1" * 60, "0." + "3" * 60),
    *('""', '" "', r'"\u0000"', r'"\ud800"', r'"\udfff\u0000x"', r'"\\u0000"', '"한글"', '"' + "가" * 400 + '"'),
    *('"DONE"', '"CANCELED"', '"NaN"', '"Infinity"', '"1e9999"', '"10000"', '"KRW"', '"USD"', '"' + "k" * 201 + '"'),
    *('"2026-02-30T25:61:61"', '"9999-12-31T23:59:59.999999+14:00"', '"0001-01-01T00:00:00-14:00"', '"0000-00-00"'),
    *('"infinity"', '"epoch"', '"now"', '"294277-01-01"', '"2026-01-01T00:00:00+25:00"', '"2026-01-01"'),
    *("[]", "{}", "[null]", '{"":{}}', '{"__proto__":1}', "[" * 90 + "]" * 90, '{"a":' * 60 + "1" + "}" * 60),
    *("'; drop table payments; --".join('""'), '"$1"', '"%s"', '"{}"', r'"\\x00"', '"../../v1/keys"', '"%00"'),
)
"""Values that some parser, type, or query has trouble with, as JSON text."""

MARK = "@here@"


def places(value: Any, place: Place = ()) -> Iterator[Place]:
    """Where a value has parts, outermost first; itself included."""
    yield place
    parts: Any = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for name, part in parts:
        yield from places(part, (*place, name))


def put(value: Any, place: Place, part: Any) -> Any:
    """A copy of a value, with another part at a place."""
    if not place:
        return part
    name, *rest = place
    if isinstance(value, dict):
        return {**value, name: put(value[name], tuple(rest), part)}
    return [put(item, tuple(rest), part) if number == name else item for number, item in enumerate(value)]


@st.composite
def odd_values(draw: Draw, bodies: Sequence[dict[str, Any]]) -> bytes:
    """A real body with odd values in some of its places."""
    body = draw(st.sampled_from(bodies))
    literals = draw(st.lists(st.sampled_from(LITERALS), min_size=1, max_size=4))
    for number in range(len(literals)):
        body = put(body, draw(st.sampled_from([place for place in places(body) if place] or [()])), f"{MARK}{number}")
        if not isinstance(body, dict):
            break
    text = json.dumps(body, ensure_ascii=draw(st.booleans()))
    for number, literal in enumerate(literals):
        text = text.replace(f'"{MARK}{number}"', literal)
    return text.encode()


@st.composite
def damaged(draw: Draw, whole: st.SearchStrategy[bytes], pieces: Sequence[bytes]) -> bytes:
    """Bytes of which some were lost, doubled, replaced or slipped in."""
    raw = draw(whole)
    for _ in range(draw(st.integers(1, 3))):
        start, end = sorted((draw(st.integers(0, len(raw))), draw(st.integers(0, len(raw)))))
        piece = draw(st.sampled_from((b"", raw[start:end] * 2, *pieces)) | st.binary(max_size=6))
        raw = raw[:start] + piece + raw[end:]
    return raw


_BODIES = [*GUIDE_BODIES, *(item.body for item in examples())]
_JSON_PIECES = (b"\x00", b"\xff", b"\xed\xa0\x80", b"\xef\xbb\xbf", b'"', b"{", b"[", b",", b"\\", b"\\u0000", b"e999")
_senseless = any_body().map(lambda body: json.dumps(body).encode())

bodies: st.SearchStrategy[bytes] = st.one_of(
    odd_values(_BODIES), odd_values(_BODIES), _senseless, damaged(odd_values(_BODIES), _JSON_PIECES)
)

payments: st.SearchStrategy[bytes] = st.one_of(
    odd_values([body["data"] for body in _BODIES if "paymentKey" in (body.get("data") or {})]),
    damaged(odd_values([body["data"] for body in _BODIES if "paymentKey" in (body.get("data") or {})]), _JSON_PIECES),
)
"""What Toss could answer about a payment."""

_MACS = (b"0" * 64, b"v1:" + b"A" * 43 + b"=", b"v1:", b"v2:" + b"A" * 44, b",", b":", b"v1", b"\xff", b"=" * 9)
_values = st.one_of(
    st.sampled_from(
        (*_MACS, b"", b" ", b"9" * 4300, b"-1", b"+1", b"0x10", "２".encode(), b"chunked", b"gzip, chunked")
    ),
    st.binary(max_size=12),
)
signed: st.SearchStrategy[bytes] = st.tuples(
    st.sampled_from(_MACS) | st.binary(max_size=70) | st.lists(st.sampled_from(_MACS), max_size=9).map(b",".join),
    st.sampled_from((TRANSMISSION_TIME.encode(), b"", b":")) | st.binary(max_size=20),
    st.binary(max_size=30),
).map(lambda parts: b"\n".join(part.replace(b"\n", b"") for part in parts))
"""A signature header, a transmission time, a body: a line each."""

_NAMES = (
    *(SIGNATURE_HEADER, TIME_HEADER, ID_HEADER, RETRIED_COUNT_HEADER, "content-length", "transfer-encoding", "host"),
    *(
        "connection",
        "expect",
        "upgrade",
        "te",
        "trailer",
        "content-type",
        "content-encoding",
        "cookie",
        "x-forwarded-for",
    ),
    *("sec-websocket-key", "authorization", "Content-Length ", " x", "", "x\x00", "가"),
)
_headers = st.tuples(
    st.sampled_from(_NAMES).map(str.encode) | st.binary(max_size=5),
    st.sampled_from((b": ", b":", b" : ", b"")),
    _values,
    st.sampled_from((b"\r\n", b"\r\n", b"\r\n", b"\n", b"\r", b"\r\n ", b"\x00\r\n")),
).map(b"".join)
_first_lines = st.sampled_from(
    (
        *(
            b"POST /webhooks/toss HTTP/1.1\r\n",
            b"POST /functions/v1/webhook HTTP/1.1\r\n",
            b"GET /healthz HTTP/1.1\r\n",
        ),
        *(
            b"POST /webhooks/toss HTTP/1.0\r\n",
            b"POST //webhooks/toss HTTP/1.1\r\n",
            b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
        ),
        *(b"POST /webhooks/%74oss HTTP/1.1\r\n", b"POST http://elsewhere/webhooks/toss HTTP/1.1\r\n", b"POST\r\n"),
        *(b"POST /webhooks/toss HTTP/9.9\r\n", b"CONNECT 127.0.0.1:5432 HTTP/1.1\r\n", b"\x16\x03\x01\x02\x00"),
        *(
            b"GET /ops/%2e%2e/metrics HTTP/1.1\r\n",
            b"OPTIONS * HTTP/1.1\r\n",
            b"GET /ops/static/..%5capp.py HTTP/1.1\r\n",
        ),
    )
)
_rests = st.sampled_from(
    (
        *(b"\r\n", b"\r\n{}", b"\n\n", b"\r\n5\r\nhello\r\n0\r\n\r\n", b"\r\nffffffffffffffff\r\n", b"\r\n-1\r\n\r\n"),
        *(
            b"\r\n0\r\nx: y\r\n\r\n",
            b"\r\n2;x=y\r\n{}\r\n0\r\n\r\n",
            b"",
            b"\r\n\r\nGET /healthz HTTP/1.1\r\nhost: x\r\n\r\n",
        ),
    )
)
heads: st.SearchStrategy[bytes] = st.lists(
    st.tuples(
        _first_lines, st.just(b"host: service\r\n") | st.just(b""), st.lists(_headers, max_size=5).map(b"".join), _rests
    ).map(b"".join),
    min_size=1,
    max_size=3,
).map(b"".join)
"""One request after the other, or what is none."""
