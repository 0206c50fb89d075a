"""The JSON viewer: masked, in Toss's order, with every digit."""

from supatoss.ops.json_view import read_json


def plain(text: str | None) -> str:
    """What the operator reads and copies."""
    return "".join(characters for _, characters in read_json(text))


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


def test_each_piece_says_what_it_is() -> None:
    pieces = [piece for piece in read_json('{"a": "x", "b": [1, 2.50, true, null]}') if piece[0]]
    assert pieces == [
        *(("key", '"a"'), ("text", '"x"'), ("key", '"b"')),
        *(("number", "1"), ("number", "2.50"), ("word", "true"), ("word", "null")),
    ]


def test_what_is_empty_or_unreadable_is_said() -> None:
    assert read_json(None) == read_json("{}") == read_json("null") == []
    assert plain("not json") == '"[masked]"'
