"""A payment's settled_at is computed from all settlements that name it, so their order does not matter."""

import itertools
from typing import Any

import pytest

from tests.database.support import Database, Row, at, payment_event
from tests.database.test_payment_fold import moment

PAYMENT = payment_event("DONE", 10)


def settlement(identity: str, second: int, payment_key: str = "key-1", **data: Any) -> Row:
    return {
        "eventType": "SETTLEMENT_COMPLETED",
        "createdAt": at(second),
        "data": {"settlementKey": identity, "paymentKey": payment_key, "amount": 9700, **data},
    }


STORIES = {
    "two": ([settlement("s-1", 100), settlement("s-2", 200)], moment(100)),
    "the earlier one is put off": (
        [settlement("s-1", 100), settlement("s-2", 200), settlement("s-1", 300, settledAt=at(250, offset=True))],
        moment(200),
    ),
    "the earlier one fails": (
        [settlement("s-1", 100), settlement("s-2", 200), settlement("s-1", 300, status="FAILED")],
        moment(200),
    ),
    "the only one fails": ([settlement("s-1", 100), settlement("s-1", 300, status="FAILED")], None),
    "it was another payment's": ([settlement("s-1", 100), settlement("s-1", 200, payment_key="key-2")], None),
}
ORDERS = [
    (name, order) for name, (events, _) in STORIES.items() for order in itertools.permutations(range(len(events) + 1))
]


@pytest.mark.parametrize(("name", "order"), ORDERS, ids=str)
def test_a_payment_is_settled_when_its_first_settlement_is(
    database: Database, name: str, order: tuple[int, ...]
) -> None:
    events, expected = STORIES[name]
    for index in order:
        database.record([*events, PAYMENT][index])
    assert database.payment()["settled_at"] == expected
    database.clear()
    database.record(*[[*events, PAYMENT][index] for index in order])
    assert database.payment()["settled_at"] == expected
