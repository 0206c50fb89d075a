"""The JSON viewer: masked, in Toss's order, every digit, and never markup of the data's own."""

import re

from supatoss.ops.json_view import show_json


def plain(text: str | None) -> str:
    """What the operator reads and copies."""
    return re.sub("<[^>]+>", "", show_json(text)).replace("&#34;", '"').replace("&lt;", "<").replace("&gt;", ">")


def test_a_body_is_indented_in_the_order_of_toss() -> None:
    data = '{"status": "DONE", "orderId": "o-1", "secret": "x", "cancels": []}'
    text = f'{{"data": {data}, "createdAt": "t", "eventType": "X"}}'
    assert plain(text) == (
        '{\n  "createdAt": "t",\n  "eventType": "X",\n  "data": {\n    "orderId": "o-1",\n    "status": "DONE",\n'
        '    "cancels": [],\n    "secret": "[masked]"\n  }\n}'
    )


def test_numbers_keep_their_digits_and_words_are_words() -> None:
    text = '{"a": 125000.0, "b": 12345678901234567890.123, "c": true, "d": null, "e": [1, 2]}'
    assert plain(text) == (
        '{\n  "a": 125000.0,\n  "b": 12345678901234567890.123,\n  "c": true,\n  "d": null,\n'
        '  "e": [\n    1,\n    2\n  ]\n}'
    )


def test_markup_in_data_is_text() -> None:
    shown = show_json('{"<b>": "<script>alert(1)</script>"}')
    assert "<script>" not in shown
    assert "<b>" not in shown
    assert plain('{"<b>": "<i>"}') == '{\n  "<b>": "<i>"\n}'


def test_what_is_empty_or_unreadable_is_said() -> None:
    assert show_json(None) == show_json("{}") == show_json("null") == ""
    assert plain("not json") == '"[masked]"'
