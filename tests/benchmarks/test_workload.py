import json
from collections import Counter
from pathlib import Path

import pytest

from benchmarks.requests import Requests, toss_request, write_requests
from benchmarks.workload import SECRET_KEY, OrderMix, deposits, orders_of, plan
from supatoss.toss.delivery import RETRIED_COUNT_HEADER, SIGNATURE_HEADER, TIME_HEADER, Delivery
from supatoss.toss.signature import Keys, SignatureCheck, check_signature


def test_the_same_seed_makes_the_same_deliveries_and_another_one_others() -> None:
    assert plan(200, 0.5, OrderMix.MIXED, seed=7) == plan(200, 0.5, OrderMix.MIXED, seed=7)
    keys = [{json.loads(one.body)["data"]["orderId"] for one in plan(50, seed=seed)} for seed in (7, 8)]
    assert not keys[0] & keys[1]


@pytest.mark.parametrize("share", [0.0, 0.5, 0.9])
def test_duplicates_have_their_share(share: float) -> None:
    sendings = plan(1000, share, OrderMix.MIXED)

    times = Counter(one.body for one in sendings)

    assert len(sendings) == 1000
    assert len(times) == round(1000 * (1 - share))
    for body, number in times.items():
        assert [one.retried_count for one in sendings if one.body == body] == list(range(number))


def test_bodies_are_as_long_as_those_of_toss_and_korean() -> None:
    sendings = plan(300, 0.0, OrderMix.MIXED)

    mean = sum(len(one.body) for one in sendings) / len(sendings)

    assert 1350 <= mean <= 1650
    assert "외" in json.loads(sendings[0].body)["data"]["orderName"]


def test_mixed_orders_are_cancelled_to_the_last_won_and_arrive_in_any_order() -> None:
    events = [json.loads(one.body) for one in plan(2000, 0.0, OrderMix.MIXED)]

    statuses = Counter(event["data"]["status"] for event in events)
    arrived = [event["createdAt"] for event in events]

    assert set(statuses) == {"DONE", "PARTIAL_CANCELED", "CANCELED"}
    assert arrived != sorted(arrived)
    for event in events:
        data = event["data"]
        cancelled = sum(cancel["cancelAmount"] for cancel in data["cancels"] or [])
        assert data["balanceAmount"] == data["totalAmount"] - cancelled


def test_a_request_carries_a_signature_that_the_service_believes() -> None:
    (sending,) = plan(1)

    head, _, body = toss_request(sending).partition(b"\r\n\r\n")

    headers = dict(line.split(": ", 1) for line in head.decode().split("\r\n")[1:])
    assert headers["content-length"] == str(len(body))
    assert headers[RETRIED_COUNT_HEADER] == "0"
    delivery = Delivery(body, headers[SIGNATURE_HEADER].encode(), headers[TIME_HEADER].encode())
    assert check_signature(delivery, Keys([SECRET_KEY])) is SignatureCheck.HEX


def test_requests_come_out_of_their_file_as_they_went_in(tmp_path: Path) -> None:
    requests = [toss_request(one) for one in plan(20)]

    file = tmp_path / "requests"
    assert write_requests(file, requests) == 20

    read = Requests(file)
    assert [read[index] for index in range(len(read))] == requests


def test_the_orders_of_a_seed_are_a_range_of_their_own() -> None:
    first, end = orders_of(7)

    assert all(first <= json.loads(one.body)["data"]["orderId"] < end for one in plan(30, seed=7))
    assert not any(first <= json.loads(one.body)["data"]["orderId"] < end for one in plan(30, seed=8))


def test_deposits_are_issued_paid_and_cancelled_in_turn() -> None:
    stages = [[json.loads(one.body)["data"] for one in stage] for stage in deposits(3, seed=7)]

    assert [{data["status"] for data in stage} for stage in stages] == [{"WAITING_FOR_DEPOSIT"}, {"DONE"}, {"CANCELED"}]
    assert len({tuple(data["orderId"] for data in stage) for stage in stages}) == 1
    assert len({data["orderId"] for data in stages[0]}) == 3
