"""Keys come back in Toss's order after jsonb has sorted them its own way."""

import json
from typing import Any

import pytest

from supatoss.toss.key_order import in_toss_order
from supatoss.toss.samples import SAMPLES, SampleSubject, make_body
from tests.unit.test_samples import NOW


def stored(value: Any) -> Any:
    """A JSON value as jsonb gives it back: shorter names first, then by their bytes."""
    match value:
        case dict():
            return {name: stored(value[name]) for name in sorted(value, key=lambda name: (len(name), name.encode()))}
        case list():
            return [stored(item) for item in value]
        case _:
            return value


@pytest.mark.parametrize("name", sorted(SAMPLES))
def test_every_sample_has_its_own_order_again(name: str) -> None:
    body = make_body(name, SampleSubject.new(NOW))
    assert json.dumps(in_toss_order(stored(body))) == json.dumps(body)


def test_what_toss_does_not_document_comes_last() -> None:
    shown = in_toss_order({"zz": 1, "a": 2, "status": "DONE", "orderId": "o", "paymentKey": "p", "mId": "m"})
    assert list(shown) == ["mId", "paymentKey", "orderId", "status", "zz", "a"]


def test_values_are_left_alone() -> None:
    values: tuple[Any, ...] = (None, 1, "x", [], {}, [{"b": 1, "a": [1, {"z": 2}]}])
    for value in values:
        assert in_toss_order(value) == value
