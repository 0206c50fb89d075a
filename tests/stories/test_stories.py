"""What happens to money at Toss, end to end."""

import itertools

import pytest

from tests.stories.conftest import World

_numbers = itertools.count(1)


@pytest.fixture
def order() -> str:
    return f"story-{next(_numbers):06d}"


def test_a_card_is_paid(world: World, order: str) -> None:
    key = world.pay(order)
    row = world.until_status(order, "DONE")
    assert (row["payment_key"], row["amount"], row["payment_method"]) == (key, 10_000, "카드")
    assert row["approved_at"] is not None
    (event,) = world.events(order)
    assert (event["proof"], event["status"]) == ("toss_api", "processed")


def test_paid_then_partly_cancelled_twice(world: World, order: str) -> None:
    key = world.pay(order)
    world.play(f"payments/{key}/cancel", amount=3_000)
    world.play(f"payments/{key}/cancel", amount=2_000)
    row = world.until(lambda: world.rows(f"payments?order_id=eq.{order}&balance_amount=eq.5000"))[0]
    assert row["payment_status"] == "PARTIAL_CANCELED"
    assert sorted(cancel["cancelAmount"] for cancel in row["cancels"]) == [2_000, 3_000]
    assert row["canceled_at"] is None
    world.play(f"payments/{key}/cancel", amount=5_000)
    row = world.until(lambda: world.rows(f"payments?order_id=eq.{order}&balance_amount=eq.0"))[0]
    assert (row["payment_status"], len(row["cancels"])) == ("PARTIAL_CANCELED", 3)
    assert row["canceled_at"] is not None


def test_an_account_is_deposited_taken_back_deposited_again_and_cancelled(world: World, order: str) -> None:
    key = world.pay(order, method="가상계좌")
    row = world.until_status(order, "WAITING_FOR_DEPOSIT")
    assert row["virtual_account"]["accountNumber"].startswith("X")
    world.until_sent()

    world.play(f"payments/{key}/deposit")
    assert world.until_status(order, "DONE")["approved_at"] is not None
    world.until_sent()

    world.play(f"payments/{key}/deposit-error")
    row = world.until_status(order, "WAITING_FOR_DEPOSIT")
    assert (row["approved_at"], row["balance_amount"]) == (None, None)
    world.until_sent()

    world.play(f"payments/{key}/deposit")
    assert world.until_status(order, "DONE")["balance_amount"] == 10_000
    world.until_sent()

    world.play(f"payments/{key}/cancel")
    row = world.until_status(order, "CANCELED")
    assert row["canceled_at"] is not None
    world.until_sent()

    kinds = {event["event_type"] for event in world.events(order)}
    assert kinds == {"PAYMENT_STATUS_CHANGED", "DEPOSIT_CALLBACK"}
    # A paid account that Toss shows as waiting is asked about again: taken back, or a look-up that lags.
    world.until_processed(order)
    assert {event["proof"] for event in world.events(order)} == {"toss_api"}


def test_a_billing_key_issued_elsewhere_is_used_and_deleted(world: World) -> None:
    customer = f"customer-{next(_numbers)}"
    key = str(world.play("billing-keys", customerKey=customer)["billingKey"])
    world.insert(
        "subscriptions",
        billing_key=key,
        customer_key=customer,
        status="ACTIVE",
        tier="PRO",
        amount=9_900,
        **dict.fromkeys(("started_at", "current_period_start", "current_period_end"), "2026-01-01T00:00:00Z"),
    )
    world.play(f"billing-keys/{key}/delete")
    row = world.until(lambda: world.rows(f"subscriptions?customer_key=eq.{customer}&status=eq.CANCELED"))[0]
    assert row["canceled_at"] is not None
    (event,) = [
        event
        for event in world.rows("webhook_events?event_type=eq.BILLING_DELETED")
        if event["payload"]["data"]["billingKey"] == key
    ]
    assert event["proof"] == "billing_key"


def test_a_changed_card_keeps_the_subscription(world: World) -> None:
    customer = f"customer-{next(_numbers)}"
    old, new = (str(world.play("billing-keys", customerKey=customer)["billingKey"]) for _ in range(2))
    for key, day in ((old, "01"), (new, "02")):
        issued = {
            "eventType": "BILLING_KEY_ISSUED",
            "data": {"billingKey": key, "customerKey": customer, "issuedAt": f"2026-01-{day}T00:00:00+09:00"},
        }
        assert world.deliver(issued, signed=True).status_code == 200
    world.play(f"billing-keys/{old}/delete")
    world.until(lambda: world.rows(f"webhook_events?event_type=eq.BILLING_DELETED&payload->data->>billingKey=eq.{old}"))
    (row,) = world.rows(f"subscriptions?customer_key=eq.{customer}")
    assert (row["billing_key"], row["status"]) == (new, "ACTIVE")


def test_a_payout_is_completed(world: World) -> None:
    reference = f"po-{next(_numbers)}"
    world.play("payouts", amount=125_000, destination="seller-77", refPayoutId=reference)
    row = world.until(lambda: world.rows(f"settlements?reference=eq.{reference}"))[0]
    assert (row["status"], float(row["amount"]), row["seller_id"]) == ("COMPLETED", 125_000.0, "seller-77")
    (event,) = world.rows(f"webhook_events?event_key=eq.{row['event_key']}")
    assert event["proof"] == "signature"


def test_a_forged_done_for_an_existing_order_changes_nothing(world: World, order: str) -> None:
    key = world.pay(order, method="가상계좌")
    world.until_status(order, "WAITING_FOR_DEPOSIT")
    world.until_sent()
    before = world.order(order)
    data = {"paymentKey": key, "orderId": order, "status": "DONE", "totalAmount": 10_000}
    told = world.deliver(
        {"eventType": "PAYMENT_STATUS_CHANGED", "createdAt": "9999-06-06T00:00:00.000000", "data": data}
    )
    assert (told.status_code, told.json()["event_status"]) == (200, "pending")
    (waiting,) = [event for event in world.events(order) if event["status"] == "pending"]
    assert (waiting["reason"], waiting["change"]) == ("toss_disagrees", None)
    stored = world.events(order)
    for forged in (
        {"eventType": "PAYMENT_STATUS_CHANGED", "data": {**data, "paymentKey": "attacker-guess-1"}},
        {
            "createdAt": "2026-06-06T00:00:00",
            "secret": "ps_x",
            "status": "DONE",
            "transactionKey": "t",
            "orderId": order,
        },
    ):
        answer = world.deliver(forged)
        assert (answer.status_code, answer.text) == (401, "Invalid signature")
    assert len(world.events(order)) == len(stored)
    after = world.order(order)
    assert before is not None
    assert after is not None
    assert after["payment_status"] == "WAITING_FOR_DEPOSIT"
    assert {name: after[name] for name in ("amount", "approved_at", "balance_amount", "payment_key")} == {
        name: before[name] for name in ("amount", "approved_at", "balance_amount", "payment_key")
    }


def test_a_forged_done_for_an_unknown_order_is_refused(world: World, order: str) -> None:
    forged = {"paymentKey": "nobody", "orderId": order, "status": "DONE", "totalAmount": 1}
    answer = world.deliver({"eventType": "PAYMENT_STATUS_CHANGED", "data": forged})
    assert (answer.status_code, answer.text) == (401, "Invalid signature")
    assert (world.events(order), world.order(order)) == ([], None)


def test_toss_is_down_and_the_re_send_succeeds(world: World, order: str) -> None:
    world.fault(path_prefix="/v1/payments", status=500, count=2)
    world.pay(order)
    world.until_status(order, "DONE")
    world.until_sent()
    (delivery,) = [item for item in world.deliveries() if order in item["body"]]
    statuses = [attempt["status"] for attempt in delivery["attempts"]]
    assert statuses[-1] == 200
    assert statuses[:-1] == [503] * (len(statuses) - 1) != []
    (event,) = world.events(order)
    assert event["transmission_retried_count"] == len(statuses) - 1


def test_two_webhooks_for_one_deposit_look_it_up_once_each_at_most(world: World, order: str) -> None:
    key = world.pay(order, method="가상계좌")
    world.until_status(order, "WAITING_FOR_DEPOSIT")
    world.until_sent()
    before = world.calls("/v1/payments")
    world.fault(path_prefix="/v1/payments", delay_seconds=0.3, count=1)
    world.play(f"payments/{key}/deposit")
    world.until_status(order, "DONE")
    world.until_sent()
    assert world.calls("/v1/payments") in (before + 1, before + 2)
    assert [event["status"] for event in world.events(order)] == ["processed"] * 4


def test_a_deposit_that_toss_does_not_show_yet_is_asked_about_again(world: World, order: str) -> None:
    key = world.pay(order, method="가상계좌")
    world.until_status(order, "WAITING_FOR_DEPOSIT")
    world.until_sent()
    early = {"eventType": "PAYMENT_STATUS_CHANGED", "data": {"paymentKey": key, "orderId": order, "status": "DONE"}}
    answer = world.deliver(early)
    assert (answer.status_code, answer.json()["event_status"]) == (200, "pending")
    world.play("webhooks/suppress", count=2)
    world.play(f"payments/{key}/deposit")
    world.until_processed(order)
    assert world.until_status(order, "DONE")["approved_at"] is not None


def test_a_deposit_is_recorded_when_toss_is_slow_at_first(world: World, order: str) -> None:
    key = world.pay(order, method="가상계좌")
    world.until_status(order, "WAITING_FOR_DEPOSIT")
    world.until_sent()
    world.fault(path_prefix="/v1/payments", delay_seconds=2, count=2)
    world.play(f"payments/{key}/deposit")
    assert world.until_status(order, "DONE")["approved_at"] is not None
    world.until_sent()
    assert {event["status"] for event in world.events(order)} == {"processed"}


def test_the_guide_s_deposit_is_approved_with_the_stored_amount(world: World, order: str) -> None:
    world.insert(
        "payments",
        payment_key=f"ph-{order}",
        order_id=order,
        order_name="주문",
        amount=10_000,
        payment_status="PENDING",
    )
    key = str(world.play("payments", orderId=order, amount=10_000)["paymentKey"])
    deposit = {
        "eventType": "VIRTUAL_ACCOUNT_DEPOSIT",
        "data": {"paymentKey": key, "orderId": order, "secret": "s", "depositedAt": "2026-01-01T10:00:00+09:00"},
    }
    answer = world.deliver(deposit, signed=True)
    assert (answer.status_code, answer.json()["event_status"]) == (200, "pending")
    row = world.until_status(order, "DONE")
    assert (row["payment_key"], row["amount"]) == (key, 10_000)


def test_an_amount_that_the_application_did_not_store_is_never_approved(world: World, order: str) -> None:
    world.insert(
        "payments", payment_key=f"ph-{order}", order_id=order, order_name="주문", amount=9_000, payment_status="PENDING"
    )
    key = str(world.play("payments", orderId=order, amount=10_000)["paymentKey"])
    deposit = {"eventType": "VIRTUAL_ACCOUNT_DEPOSIT", "data": {"paymentKey": key, "orderId": order, "secret": "s"}}
    assert world.deliver(deposit, signed=True).status_code == 200
    event = world.until(lambda: [event for event in world.events(order) if event["status"] == "failed"])[0]
    assert event["reason"] == "approval_amount_mismatch"
    payment = world.http.get(f"{world.emulator_url}/v1/payments/{key}", auth=("test_sk_made_up_for_tests_0001", ""))
    assert payment.json()["status"] == "IN_PROGRESS"
    row = world.order(order)
    assert row is not None
    assert row["payment_status"] == "PENDING"


def test_two_charges_for_one_order_are_reported(world: World, order: str) -> None:
    first = world.pay(order)
    world.until_status(order, "DONE")
    made = world.play("payments", orderId=order, amount=10_000)
    world.play(f"payments/{made['paymentKey']}/approve", force=True)
    failed = world.until(lambda: [event for event in world.events(order) if event["status"] == "failed"])[0]
    assert failed["reason"] == "double_charge"
    row = world.order(order)
    assert row is not None
    assert row["payment_key"] == first


def test_a_refused_payment_and_a_second_attempt(world: World, order: str) -> None:
    key = str(world.play("payments", orderId=order, amount=10_000)["paymentKey"])
    world.play(f"payments/{key}/abort")
    row = world.until_status(order, "ABORTED")
    assert row["failure_code"] == "REJECT_CARD_COMPANY"
    second = world.pay(order)
    row = world.until_status(order, "DONE")
    assert (row["payment_key"], row["failure_code"]) == (second, None)


def test_an_event_of_a_new_type_is_acknowledged_unsigned_and_kept_signed(world: World) -> None:
    body = {"eventType": "SOMETHING_NEW_HAPPENED", "data": {"foo": "bar"}}
    unsigned = world.deliver(body)
    assert (unsigned.status_code, unsigned.json()) == (200, {"status": "acknowledged"})
    answer = world.deliver(body, signed=True)
    assert (answer.status_code, answer.json()["event_status"]) == (200, "ignored")
