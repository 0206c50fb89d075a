"""The application's write wins (design rule 12): each flow of the guide, in each order of its steps and webhooks."""

import itertools
from functools import partial

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.database.support import Database, Row
from tests.database.test_payment_fold import moment
from tests.database.test_recording import billing
from tests.merchant.application import PRICE, USER, Application
from tests.merchant.steps import (
    CUSTOMER,
    KEY,
    ORDER,
    Step,
    orders,
    orders_of,
    paid,
    profile,
    subscriptions,
    undone,
    unfinished,
)


@pytest.mark.parametrize("user_inserts", [False, True], ids=["service role", "signed-in user"])
@pytest.mark.parametrize("with_old_function", [False, True], ids=["ours", "old function beside"])
def test_an_order_and_its_approval(project: Database, user_inserts: bool, with_old_function: bool) -> None:
    application = Application(project.connection, user_inserts)
    before = profile(project)
    steps: list[Step] = [
        partial(application.order, ORDER),
        partial(application.check_price, ORDER),
        partial(application.approved, ORDER, KEY),
    ]
    ours = [partial(project.record, paid("IN_PROGRESS", 5, approvedAt=None)), partial(project.record, paid())]
    old = [partial(application.old_webhook_function, paid())] if with_old_function else []
    for order in orders_of(steps, ours, old):
        with undone(project):
            for step in order:
                step()
            payment = project.payment(ORDER)
            assert (payment["payment_key"], payment["payment_status"], payment["amount"]) == (KEY, "DONE", PRICE)
            assert (str(payment["user_id"]), payment["order_name"]) == (USER, "월 이용권")
            assert payment["approved_at"] == moment(10)
            assert profile(project) == (before[0] + PRICE // 100, before[1] + 1)
            assert unfinished(project) == []
            assert orders(project) == {ORDER}
            assert application.statistics() == {"DONE": PRICE}
            assert [row["order_id"] for row in application.own_rows("payments") if row["order_id"] == ORDER] == [ORDER]


def test_users_see_their_own_rows_and_no_others(project: Database) -> None:
    application = Application(project.connection)
    project.record(
        paid(order="order-of-nobody", key="tviva-101"), paid(), billing("issued", "bk-101", 0, "customer-101")
    )
    application.order(ORDER)
    application.subscribe(CUSTOMER, "bk-100")
    assert "order-of-nobody" not in {row["order_id"] for row in application.own_rows("payments")}
    assert (ORDER, "DONE") in {(row["order_id"], row["payment_status"]) for row in application.own_rows("payments")}
    tiers = {row["tier"] for row in application.own_rows("subscriptions", "status, tier, next_billing_date")}
    assert "PRO" in tiers
    assert "UNASSIGNED" not in tiers


@pytest.mark.parametrize("end", ["EXPIRED", "ABORTED"])
def test_a_window_that_was_closed_before_the_order_was_stored(project: Database, end: str) -> None:
    application = Application(project.connection)
    before = profile(project)
    closed = paid(end, 5, key="tviva-99", approvedAt=None)
    steps: list[Step] = [
        partial(application.order, ORDER),
        partial(application.check_price, ORDER),
        partial(application.approved, ORDER, KEY),
    ]
    for order in orders_of(steps, [partial(project.record, closed)], [partial(project.record, paid())]):
        with undone(project):
            for step in order:
                step()
            payment = project.payment(ORDER)
            assert (payment["payment_key"], payment["payment_status"]) == (KEY, "DONE")
            assert profile(project)[1] == before[1] + 1
            assert unfinished(project) == []


def test_a_renewal_is_booked_once_whenever_its_webhook_comes(project: Database) -> None:
    application = Application(project.connection)
    before = profile(project)
    application.subscribe(CUSTOMER, "bk-100", next_billing_date=moment(0))
    (subscription,) = application.due(CUSTOMER)
    booked: list[Row] = []
    order_id = f"sub_{subscription['id']}_1773478800000"
    event = paid(order=order_id)
    steps = [
        lambda: booked.append(application.book_renewal(subscription, order_id, KEY)),
        lambda: application.link_renewal(subscription, booked[-1]),
        lambda: application.advance(subscription),
    ]
    ours = [partial(project.record, event)] * 2
    for order in orders_of(steps, ours, [partial(application.old_webhook_function, event)]):
        with undone(project):
            for step in order:
                step()
            payment = project.payment(order_id)
            assert (payment["id"], payment["payment_key"]) == (booked[-1]["id"], KEY)
            assert (payment["payment_status"], payment["approved_at"]) == ("DONE", moment(10))
            assert payment["metadata"] == {"subscription_id": str(subscription["id"])}
            linked = project.rows("select payment_id from subscription_payments")
            assert linked == [{"payment_id": payment["id"]}]
            assert application.due(CUSTOMER) == []
            assert profile(project) == (before[0] + PRICE // 100, before[1] + 1)
            assert unfinished(project) == []
            assert application.statistics() == {"DONE": PRICE}


def test_a_subscription_whose_key_is_told_of_first(project: Database) -> None:
    application = Application(project.connection)
    issued, deleted = billing("issued", "bk-100", 0, CUSTOMER), billing("deleted", "bk-100", 20)
    ours = [partial(project.record, issued)] * 2
    for order in orders_of([partial(application.subscribe, CUSTOMER, "bk-100")], ours):
        with undone(project):
            for step in order:
                step()
            assert subscriptions(project) == [("bk-100", "ACTIVE", "PRO", USER, PRICE)]
            project.record(deleted)
            assert subscriptions(project) == [("bk-100", "CANCELED", "PRO", USER, PRICE)]
            assert unfinished(project) == []


def test_a_card_that_is_changed_while_the_application_subscribes(project: Database) -> None:
    application = Application(project.connection)
    events = [
        billing("issued", "bk-100", 0, CUSTOMER),
        billing("issued", "bk-101", 10, CUSTOMER),
        billing("deleted", "bk-100", 20),
    ]
    for event_order in itertools.permutations(events):
        ours = [partial(project.record, event) for event in event_order]
        for order in orders_of([partial(application.subscribe, CUSTOMER, "bk-100")], ours):
            with undone(project):
                for step in order:
                    step()
                assert subscriptions(project) == [("bk-101", "ACTIVE", "PRO", USER, PRICE)]
                assert unfinished(project) == []


def test_a_customer_buys_a_second_tier_and_a_third(adopted: Database) -> None:
    application = Application(adopted.connection)
    keys = {"bk-1": "PRO", "bk-2": "TEAM", "bk-3": "MAX"}
    steps = [partial(application.subscribe, CUSTOMER, key, tier) for key, tier in keys.items()]
    events = [billing("issued", key, second, CUSTOMER) for second, key in enumerate(keys)]
    for event_order in itertools.permutations(events):
        ours = [partial(adopted.record, event) for event in event_order]
        for order in orders_of(steps, ours):
            with undone(adopted):
                for step in order:
                    step()
                assert subscriptions(adopted) == [(key, "ACTIVE", keys[key], USER, PRICE) for key in keys]
                assert unfinished(adopted) == []
                adopted.record(billing("deleted", "bk-2", 50))
                assert [row[:2] for row in subscriptions(adopted)] == [
                    ("bk-1", "ACTIVE"),
                    ("bk-2", "CANCELED"),
                    ("bk-3", "ACTIVE"),
                ]


def test_a_new_key_of_a_customer_with_two_tiers_needs_a_person(adopted: Database) -> None:
    application = Application(adopted.connection)
    rows = [application.subscribe(CUSTOMER, key, tier) for key, tier in (("bk-1", "PRO"), ("bk-2", "TEAM"))]
    (outcome,) = adopted.record(billing("issued", "bk-3", 30, CUSTOMER))
    assert (outcome["status"], outcome["reason"]) == ("failed", "ambiguous_subscription")
    assert [row[:2] for row in subscriptions(adopted)] == [("bk-1", "ACTIVE"), ("bk-2", "ACTIVE")]
    # The person says which, and replays; from then on it is that row's.
    application.single("update subscriptions set billing_key = 'bk-3' where id = %s returning *", rows[1]["id"])
    assert adopted.record(billing("issued", "bk-3", 30, CUSTOMER))[0]["status"] == "processed"
    adopted.record(billing("deleted", "bk-2", 40))
    assert [row[:2] for row in subscriptions(adopted)] == [("bk-1", "ACTIVE"), ("bk-3", "ACTIVE")]


def test_a_new_key_goes_to_the_only_row_that_lives_still(adopted: Database) -> None:
    application = Application(adopted.connection)
    for key, tier in (("bk-1", "PRO"), ("bk-2", "TEAM")):
        application.subscribe(CUSTOMER, key, tier)
    events = [billing("deleted", "bk-1", 20), billing("issued", "bk-3", 30, CUSTOMER)]
    for order in itertools.permutations(events):
        with undone(adopted):
            for event in order:
                adopted.record(event)
            assert [row[:3] for row in subscriptions(adopted)] == [
                ("bk-1", "CANCELED", "PRO"),
                ("bk-3", "ACTIVE", "TEAM"),
            ]
            assert unfinished(adopted) == []


def test_the_price_is_the_application_s(project: Database) -> None:
    application = Application(project.connection)
    before = profile(project)
    for order in orders_of([partial(application.order, ORDER)], [partial(project.record, paid(price=100))]):
        with undone(project):
            for step in order:
                step()
            payment = project.payment(ORDER)
            assert (payment["payment_status"], payment["amount"]) == ("PENDING", PRICE)
            assert [row["reason"] for row in unfinished(project)] == ["amount_mismatch"]
            assert profile(project) == before


@st.composite
def stories_of_a_customer(draw: st.DrawFn) -> tuple[list[str], list[Row]]:
    """The keys of the application's subscriptions, and what becomes of them and of others."""
    own = draw(st.lists(st.sampled_from(["bk-1", "bk-2", "bk-3"]), max_size=3, unique=True))
    events = []
    for key in draw(st.lists(st.sampled_from(["bk-1", "bk-2", "bk-3", "bk-4"]), min_size=1, unique=True)):
        issued = draw(st.integers(0, 5))
        events.append(billing("issued", key, issued, CUSTOMER))
        if draw(st.booleans()):
            events.append(billing("deleted", key, draw(st.integers(issued, 6))))
    return own, events


@settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data(), story=stories_of_a_customer())
def test_subscriptions_are_the_same_in_any_order(
    adopted: Database, data: st.DataObject, story: tuple[list[str], list[Row]]
) -> None:
    application = Application(adopted.connection)
    own, events = story
    steps: list[Step] = [partial(application.subscribe, CUSTOMER, key, f"TIER {key}") for key in own]
    steps += [partial(adopted.record, event) for event in events]
    results = []
    for order in (steps, steps[::-1], data.draw(st.permutations(steps))):
        with undone(adopted):
            for step in order:
                step()
            results.append((subscriptions(adopted), adopted.verdicts()))
    assert results[1] == results[0]
    assert results[2] == results[0]
    assert {tier for _, _, tier, *_ in results[0][0]} >= {f"TIER {key}" for key in own}
