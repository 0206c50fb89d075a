"""Scenarios about deliveries and events: what needs a person, what waits, and what is refused."""

import json

from tests.drill.payments import ids_of
from tests.drill.person import says
from tests.drill.scenario import Scenario
from tests.drill.stage import Stage
from tests.faults.toss import ALL, deposit
from tests.support import OLDER_SECURITY_KEY, SECURITY_KEY

TRIGGER = """
    create function public.add_credits() returns trigger language plpgsql as $$
    begin raise exception 'the customer has no profile' using errcode = '23503'; end $$;
    create trigger add_credits before update on public.payments for each row execute function public.add_credits();
"""
NO_TRIGGER = "drop function if exists public.add_credits cascade"


def _first_look(stage: Stage) -> None:
    """One event needs a person, and a stranger's delivery was refused."""
    stage.order("order-looked-at", 100)
    stage.pay("order-looked-at", 9_900)
    alert = stage.until_started("amount_mismatch")
    stage.post({"eventType": "PAYMENT_STATUS_CHANGED", "data": {"paymentKey": "forged"}}, "live_sk_of_a_stranger")
    stage.follow("supatoss doctor")
    says(stage.follow("supatoss events list --status failed"), "order-looked-at")
    shown = stage.follow("supatoss events show ID", ids=ids_of(alert))
    says(shown, "toss_api")
    says(stage.follow("supatoss events refused"), "invalid_signature")
    stage.execute("update payments set amount = 9900")
    stage.type(f"supatoss events replay {ids_of(alert)} --apply")
    stage.until_ended("amount_mismatch")


def _trigger_refuses(stage: Stage) -> None:
    stage.afterwards(lambda: stage.execute(NO_TRIGGER))
    stage.order("order-refused")
    stage.execute(TRIGGER)
    stage.pay("order-refused")
    alert = stage.until_started("event_failed", "order-refused")
    assert alert.body["data"]["details"]["reason"] == "refused_by_database"
    says(stage.type(f"supatoss events show {ids_of(alert)}"), "add_credits")
    stage.execute(NO_TRIGGER)
    replay = "supatoss events replay --status failed --with-reason REASON"
    stage.follow(replay, reason="refused_by_database")
    stage.follow(f"{replay} --apply", reason="refused_by_database")
    stage.until_ended("event_failed", "order-refused")


def _unknown_status(stage: Stage) -> None:
    key = stage.pay("order-unknown")
    stage.until_event("order-unknown", "processed")
    stage.cancel(key, amount=3_000)
    alert = stage.until_started("event_failed", "order-unknown")
    says(alert.body["text"], "unknown_status")
    assert stage.execute("select payment_status from payments") == [("DONE",)]
    stage.follow("supatoss doctor")
    stage.restart(DRILL_UNKNOWN_STATUS="")
    stage.follow("supatoss events replay --status failed --with-reason REASON --apply", reason="unknown_status")
    stage.until_ended("event_failed", "order-unknown")


def leave_pending(stage: Stage, order: str) -> None:
    """A deposit that Toss did not confirm when it was told of: the event is stored and waits."""
    key = stage.pay(order, method="가상계좌")
    stage.until_event(order, "processed")
    stage.lose_webhooks(lambda: stage.toss.play(f"payments/{key}/deposit"))
    body = deposit(stage.toss.payment(key))
    stage.toss.fault(ALL, path_prefix=f"/v1/payments/{key}", status=500)
    stage.tell_signed(body)
    stage.until_event(order, "pending")


def _no_worker(stage: Stage) -> None:
    stage.worker.stop()
    leave_pending(stage, "order-deposited")
    stage.toss.be_well()
    stage.execute("update webhook_events set waiting_since = now() - interval '11 minutes' where status = 'pending'")
    stage.until_started("backlog")
    says(stage.follow("supatoss events list --status pending"), "order-deposited")
    stage.follow("supatoss doctor")
    says(stage.follow("fly status"), "m2 stopped")
    stage.follow("fly machine start ID", ids="m2")
    stage.worker.stop()
    stage.follow("supatoss worker")
    stage.follow("supatoss events replay --status pending --apply", status=(0, 1))
    stage.until_ended("backlog")


def _wrong_security_key(stage: Stage) -> None:
    for number in range(5):
        stage.toss.play("payouts", amount=10_000 + number, destination="seller-1")
    stage.until_started("rejected_share")
    says(stage.follow("supatoss events refused"), "invalid_signature")
    newest = json.loads(stage.follow("supatoss events refused", "--json"))["deliveries"][0]
    says(stage.follow("supatoss events refused", f"--body {newest['id']}"), "payout.changed")
    verify = f"{_keep_delivery(stage)}/body.json --headers {stage.world.folder}/headers"
    says(stage.follow("supatoss verify", verify, status=1), "invalid")
    stage.restart(TOSS_SECURITY_KEY=SECURITY_KEY)
    says(stage.follow("supatoss verify", verify), "valid: ")
    stage.until_ended("rejected_share")


def _keep_delivery(stage: Stage) -> str:
    """Body and headers of a delivery as files, as a proxy in front would log them: their folder."""
    delivery = stage.toss.deliveries()[0]
    headers = delivery["attempts"][0]["headers"]
    (stage.world.folder / "body.json").write_text(delivery["body"])
    (stage.world.folder / "headers").write_text("".join(f"{name}: {value}\n" for name, value in headers.items()))
    return str(stage.world.folder)


def _unknown_type(stage: Stage) -> None:
    stage.toss.play("events", body={"eventType": "LOAN_APPROVED", "createdAt": "2026-11-24T10:00:00", "data": {"a": 1}})
    alert = stage.until_started("unknown_type")
    says(alert.body["text"], "LOAN_APPROVED")
    says(stage.follow("supatoss events refused"), "LOAN_APPROVED")
    newest = json.loads(stage.follow("supatoss events refused", "--json"))["deliveries"][0]
    says(stage.follow("supatoss events refused", f"--body {newest['id']}"), "LOAN_APPROVED")
    stage.execute("update supatoss.refused_deliveries set received_at = received_at - interval '25 hours'")
    stage.until_ended("unknown_type")


EVENTS = (
    Scenario("Runbook", "a first look", _first_look, ["amount_mismatch"]),
    Scenario("event_failed", "a trigger of the shop refuses the row", _trigger_refuses, ["event_failed"]),
    Scenario(
        "event_failed",
        "a status that this release does not know",
        _unknown_status,
        ["event_failed"],
        {"DRILL_UNKNOWN_STATUS": "PARTIAL_CANCELED"},
    ),
    Scenario("backlog", "no worker is running", _no_worker, ["backlog"]),
    Scenario(
        "rejected_share",
        "another merchant's security key",
        _wrong_security_key,
        ["rejected_share"],
        {"TOSS_SECURITY_KEY": OLDER_SECURITY_KEY},
    ),
    Scenario("unknown_type", "Toss has a new type", _unknown_type, ["unknown_type"]),
)
