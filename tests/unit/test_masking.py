import json

import pytest

from supatoss.masking import MASKED, mask, mask_json
from tests.support import examples


def test_secrets_and_people_are_masked_and_all_else_stays() -> None:
    body = {
        "eventType": "PAYMENT_STATUS_CHANGED",
        "data": {
            "orderName": "가상 상품",
            "totalAmount": 125000.0,
            "secret": "ps_hidden",
            "billingKey": "bk_hidden",
            "customerName": "홍길동",
            "customerEmail": "hidden@example.com",
            "mobilePhone": {"customerMobilePhone": "01012345678", "settlementStatus": "COMPLETED"},
            "virtualAccount": {
                "accountNumber": "X6505636518308",
                "bankCode": "20",
                "customerName": "홍길동",
                "refundReceiveAccount": {"accountNumber": "123", "holderName": "홍길동"},
            },
            "cards": [{"number": 4330123412341234, "company": None}],
        },
    }
    assert mask(body)["data"] == {
        "orderName": "가상 상품",
        "totalAmount": 125000.0,
        "secret": MASKED,
        "billingKey": MASKED,
        "customerName": MASKED,
        "customerEmail": MASKED,
        "mobilePhone": {"customerMobilePhone": "…5678", "settlementStatus": "COMPLETED"},
        "virtualAccount": {
            "accountNumber": "…8308",
            "bankCode": "20",
            "customerName": MASKED,
            "refundReceiveAccount": {"accountNumber": MASKED, "holderName": MASKED},
        },
        "cards": [{"number": "…1234", "company": None}],
    }


def test_our_own_spelling_is_masked_too() -> None:
    assert mask({"billing_key": "hidden", "virtual_account": {"account_number": "1234567890"}}) == {
        "billing_key": MASKED,
        "virtual_account": {"account_number": "…7890"},
    }


@pytest.mark.parametrize("secret", [{"deep": "hidden"}, ["hidden"], "hidden", 5])
def test_a_secret_of_any_shape_is_masked(secret: object) -> None:
    assert mask({"secret": secret}) == {"secret": MASKED}


@pytest.mark.parametrize("text", ["", "{", '{"secret": "hidden"', "[" * 100_000])
def test_what_cannot_be_read_is_not_shown(text: str) -> None:
    assert mask_json(text) == MASKED


def test_nothing_stays_nothing() -> None:
    assert mask_json(None) is None
    assert mask_json("null") is None


def test_no_example_of_toss_shows_its_secret() -> None:
    for example in examples():
        shown = json.dumps(mask_json(json.dumps(example.body)), ensure_ascii=False)
        for telling in ("홍길동", "01000000000", "ps_"):
            assert telling not in shown, example.name
