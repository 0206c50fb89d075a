"""Scenarios about payments: amounts, double charges, and rows that are not as Toss says."""

import json

from tests.drill.person import says
from tests.drill.scenario import Scenario
from tests.drill.stage import Stage
from tests.receiver import Message


def ids_of(message: Message) -> str:
    """The events that an alert is about."""
    return " ".join(message.body["data"]["details"]["ids"])


def _wrong_price(stage: Stage) -> None:
    stage.order("order-priced", 100)
    stage.pay("order-priced", 9_900)
    alert = stage.until_started("amount_mismatch", "order-priced")
    shown = stage.follow("supatoss events list --status failed --order ORDER", order=alert.subject)
    says(shown, "amount_mismatch")
    shown = stage.follow("supatoss events show ID", ids=ids_of(alert))
    says(shown, "9900")
    stage.execute("update payments set amount = 9900 where order_id = 'order-priced'")
    says(stage.follow("supatoss events replay ID", ids=ids_of(alert)), "processed")
    assert stage.execute("select 1 from webhook_events where status = 'failed'"), "a dry run changed something"
    stage.follow("supatoss events replay ID --apply", ids=ids_of(alert))
    stage.until_ended("amount_mismatch", "order-priced")


def _wrong_charge(stage: Stage) -> None:
    stage.order("order-tampered", 50_000)
    key = stage.pay("order-tampered", 100)
    alert = stage.until_started("amount_mismatch", "order-tampered")
    stage.cancel(key)
    stage.until_event("order-tampered", "failed", count=2)
    listed = stage.follow("supatoss events list --status failed --order ORDER", "--json", order=alert.subject)
    ids = " ".join(event["id"] for event in json.loads(listed)["events"])
    stage.follow('supatoss events ignore ID ID --reason "refunded at Toss" --apply', ids=ids)
    stage.until_ended("amount_mismatch", "order-tampered", "set_aside")
    stage.forget(key)
    stage.type(f"supatoss reconcile --day {stage.today()} --apply")
    assert stage.execute("select payment_status from payments") == [("PENDING",)]


def _paid_twice(stage: Stage) -> None:
    stage.order("order-twice")
    stage.pay("order-twice")
    stage.until_event("order-twice", "processed")
    second = stage.pay("order-twice")
    alert = stage.until_started("double_charge", "order-twice")
    says(alert.body["data"]["details"]["error"], second)
    stage.cancel(second)
    stage.until_ended("double_charge", "order-twice")


def _paid_twice_and_the_cancel_got_lost(stage: Stage) -> None:
    stage.order("order-twice")
    stage.pay("order-twice")
    stage.until_event("order-twice", "processed")
    second = stage.pay("order-twice")
    stage.until_started("double_charge", "order-twice")
    stage.lose_webhooks(lambda: stage.cancel(second))
    stage.follow("supatoss reconcile --day YYYY-MM-DD --apply", days=[stage.today()])
    stage.until_ended("double_charge", "order-twice")


def _written_by_something_else(stage: Stage) -> None:
    stage.pay("order-timeless")
    stage.until_event("order-timeless", "processed")
    stage.execute("update payments set approved_at = null where order_id = 'order-timeless'")
    stage.until_started("done_without_approval", "order-timeless")
    stage.follow("supatoss reconcile --day YYYY-MM-DD --apply", days=[stage.today()])
    stage.until_ended("done_without_approval", "order-timeless")


def _cancels_were_edited(stage: Stage) -> None:
    key = stage.pay("order-edited")
    stage.until_event("order-edited", "processed")
    stage.cancel(key, amount=3_000)
    stage.until_event("order-edited", "processed", count=2)
    stage.execute("update payments set cancels = jsonb_set(cancels, '{0,cancelAmount}', '30000')")
    stage.until_started("cancels_above_total", "order-edited")
    stage.follow("supatoss reconcile --day YYYY-MM-DD", days=[stage.today()], status=1)
    stage.follow("supatoss reconcile --day YYYY-MM-DD --apply", days=[stage.today()])
    stage.until_ended("cancels_above_total", "order-edited")


def _refund_failed(stage: Stage) -> None:
    key = stage.pay("order-refunded", method="가상계좌")
    stage.toss.play(f"payments/{key}/deposit")
    stage.until_event("order-refunded", "processed", count=2)
    stage.toss.play(f"payments/{key}/refund-result", status="FAILED")
    stage.cancel(key)
    alert = stage.until_started("refund_failed", "order-refunded")
    says(stage.follow("supatoss events list --order ORDER", order=alert.subject), "PAYMENT_STATUS_CHANGED")
    # The buyer tells the right account, and the merchant refunds again in Toss's dashboard.
    stage.toss.play(f"payments/{key}/refund-result", status="COMPLETED")
    stage.follow("supatoss reconcile --day YYYY-MM-DD --apply", days=[stage.today()])
    stage.until_ended("refund_failed", "order-refunded")


def _webhook_was_lost(stage: Stage) -> None:
    stage.lose_webhooks(lambda: stage.pay("order-unheard"))
    stage.follow("supatoss reconcile --day YYYY-MM-DD", days=[stage.today()], status=1)
    alert = stage.until_started("reconciliation_difference")
    stage.follow("supatoss reconcile --day YYYY-MM-DD --apply", days=[alert.subject])
    stage.until_ended("reconciliation_difference")


def _paid_without_toss(stage: Stage) -> None:
    stage.pay_elsewhere("order-transfer")
    stage.follow("supatoss reconcile --day YYYY-MM-DD", days=[stage.today()], status=1)
    alert = stage.until_started("reconciliation_difference")
    says(stage.type("supatoss reconcile ignore --order order-transfer --reason x"), "Nothing was changed")
    shown = stage.follow(
        'supatoss reconcile ignore --order ORDER --reason "paid by bank transfer" --apply', order="order-transfer"
    )
    says(shown, "1 ignored")
    stage.until_ended("reconciliation_difference", phase="set_aside")
    says(stage.follow("supatoss reconcile --day YYYY-MM-DD --apply", days=[alert.subject]), "1 ignored by operators")


def _edited_by_hand(stage: Stage) -> None:
    stage.pay("order-handmade")
    stage.until_event("order-handmade", "processed")
    stage.execute("update payments set payment_status = 'FAILED', approved_at = null, balance_amount = null")
    stage.follow("supatoss reconcile --day YYYY-MM-DD --apply", days=[stage.today()])


def _not_registered(stage: Stage) -> None:
    """The registration is deleted in the developer centre, in a project with regular traffic."""
    for number in range(20):
        stage.pay(f"order-{number:06d}")
    for number in range(20):
        stage.until_event(f"order-{number:06d}", "processed")
    stage.toss.unregister()
    stage.pay("order-unheard")
    stage.execute("update webhook_events set created_at = created_at - interval '7 hours'")
    stage.until_started("silence")
    says(stage.follow("supatoss register"), f"{stage.service.url}/webhooks/toss")
    stage.register()
    days = [stage.today(), stage.today()]
    stage.follow("supatoss reconcile --from 2026-11-20 --to 2026-11-24", days=days, status=1)
    stage.follow("supatoss reconcile --from 2026-11-20 --to 2026-11-24 --apply", days=days)
    stage.pay("order-heard")
    stage.until_ended("silence")


DIFFERENCE = "reconciliation_difference"
"""Between what a reconciliation finds and what it repairs there can be time for this alert."""

AMOUNTS = (
    Scenario("amount_mismatch", "the shop stored a wrong amount", _wrong_price, ["amount_mismatch"], is_quick=True),
    Scenario("amount_mismatch", "the charge was wrong, and refunded", _wrong_charge, ["amount_mismatch"]),
    Scenario("double_charge", "one of two is cancelled", _paid_twice, ["double_charge"]),
    Scenario(
        "double_charge",
        "the cancel's webhook is lost",
        _paid_twice_and_the_cancel_got_lost,
        ["double_charge", DIFFERENCE],
    ),
)

ROWS = (
    Scenario(
        "silence",
        "the webhook is not registered any more",
        _not_registered,
        ["silence", DIFFERENCE],
        {"ALERT_SILENCE_HOURS": "6"},
    ),
    Scenario(
        "done_without_approval", "a row was edited", _written_by_something_else, ["done_without_approval", DIFFERENCE]
    ),
    Scenario("cancels_above_total", "cancels were edited", _cancels_were_edited, ["cancels_above_total", DIFFERENCE]),
    Scenario("refund_failed", "the buyer's account is wrong", _refund_failed, ["refund_failed", DIFFERENCE]),
    Scenario("reconciliation_difference", "a webhook was lost", _webhook_was_lost, [DIFFERENCE]),
    Scenario("reconciliation_difference", "an order was paid by bank transfer", _paid_without_toss, [DIFFERENCE]),
    Scenario("Rows were changed by hand", "a payment is marked as failed", _edited_by_hand, [DIFFERENCE]),
)
