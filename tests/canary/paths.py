"""Every path that a secret can take: deliveries, refusals, failures, the worker, commands, pages, alerts."""

import datetime as dt
import re
from collections.abc import Callable, Mapping
from typing import Any

import httpx
from typer.testing import CliRunner

from supatoss.cli import app
from supatoss.cli.sending import now_with_offset
from supatoss.toss.delivery import SIGNATURE_HEADER, TIME_HEADER
from tests.canary.canaries import Canaries, distinct
from tests.canary.stack import METRICS_TOKEN, OPS_PASSWORD, SECRET_KEY, SECURITY_KEY, Stack, raw_json, until
from tests.support import signed_headers, v1_signed_headers

FORGED_SECRET = f"ps_{distinct('forged secret')}"
FORGED_BILLING_KEY = f"bk_{distinct('forged billing key')}"
MISTYPED_PASSWORD = f"typo {distinct('mistyped')}"
MISPLACED = distinct("misplaced")
"""Stands in fields for numbers and times: what cannot be read is not repeated in any message."""

BUYER = {
    "customerName": f"구매자 {distinct('name')}",
    "customerEmail": f"{distinct('mail')}@example.com",
    "customerMobilePhone": "010" + str(int(distinct("phone", 20), 36))[:13],
}
"""A buyer's own data: it stays in the tables, and out of logs, messages and pages."""


def signed(raw: bytes, key: str = SECRET_KEY) -> dict[str, str]:
    """Headers of a delivery that is signed now."""
    return signed_headers(raw, key, now_with_offset())


def payment_event(payment: Mapping[str, Any], **changes: Any) -> bytes:
    """PAYMENT_STATUS_CHANGED about a payment, with its secret in it as Toss sends it."""
    return raw_json(
        {
            "eventType": "PAYMENT_STATUS_CHANGED",
            "createdAt": dt.datetime.now().isoformat(),  # noqa: DTZ005 - Toss's has no offset
            "data": {**payment, **changes},
        }
    )


def take_money(stack: Stack, canaries: Canaries) -> None:
    """Payments, a deposit and its callback, a cancel, a payout: unsigned ones are looked up, signed ones believed."""
    card = stack.pay("canary-card")
    account = stack.pay("canary-account", method="가상계좌")
    stack.play(f"payments/{account['paymentKey']}/deposit")
    stack.until_quiet()
    for payment in (card, account):
        looked_up = stack.http.get(
            f"{stack.toss_url}/v1/payments/{payment['paymentKey']}", auth=(SECRET_KEY, "")
        ).json()
        canaries.add(f"secret of {payment['orderId']}", looked_up["secret"])
        stack.deliver(payment_event(looked_up, **BUYER), {})
        for _ in range(2):  # the second one is a duplicate
            raw = payment_event(looked_up, createdAt="2026-01-01T00:00:00", **BUYER)
            assert stack.deliver(raw, signed(raw)).status_code == 200
    stack.play(f"payments/{card['paymentKey']}/cancel", amount=1_000, reason="구매자 변심")
    stack.play("payouts", amount=1_000, destination="seller-1", refPayoutId="canary-payout")
    seller = {"id": "seller-1", "status": "APPROVED", "individual": {"name": BUYER["customerName"]}}
    raw = raw_json({"eventType": "seller.changed", "entityBody": seller, "createdAt": now_with_offset()})
    stack.deliver(raw, v1_signed_headers(raw, SECURITY_KEY, sent_at=now_with_offset()))
    stack.until_quiet()


RAISING = """
create function own_rule() returns trigger language plpgsql as $$ begin raise exception 'refused: %', new; end $$;
create trigger own_rule before update on subscriptions for each row when (new.customer_key = 'canary-refused')
execute function own_rule()
"""
"""A trigger of the project whose message holds the whole row."""


def subscribe(stack: Stack, canaries: Canaries) -> None:
    """A billing key that is issued and deleted, and one that a trigger of the project refuses."""
    stack.execute(RAISING)
    stack.execute(
        "insert into subscriptions (billing_key, customer_key, status, tier, started_at, current_period_start,"
        " current_period_end, amount) values ('none', 'canary-refused', 'ACTIVE', 'PRO', now(), now(), now(), 1)"
    )
    for customer in ("canary-refused", "canary-customer"):
        key = str(stack.play("billing-keys", customerKey=customer)["billingKey"])
        canaries.add(f"billing key of {customer}", key)
        data = {"billingKey": key, "customerKey": customer, "issuedAt": "2026-01-01T00:00:00+09:00"}
        raw = raw_json({"eventType": "BILLING_KEY_ISSUED", "data": data})
        assert stack.deliver(raw, signed(raw)).status_code == 200
        if customer == "canary-customer":
            stack.play(f"billing-keys/{key}/delete")


def forge(stack: Stack) -> None:
    """What is not genuine, not readable or too large."""
    claim = {"paymentKey": "canary-nobody", "orderId": "canary-card", "status": "DONE", "secret": FORGED_SECRET}
    forged = payment_event({**claim, "billingKey": FORGED_BILLING_KEY, **BUYER})
    stack.deliver(forged, {})
    stack.deliver(forged, signed(forged, "test_sk_of_somebody_else_0000000000"))
    stack.deliver(forged, {SIGNATURE_HEADER: f"v1:{FORGED_SECRET}", TIME_HEADER: FORGED_SECRET})
    deposit = {"createdAt": "2026-01-01T00:00:00", "secret": FORGED_SECRET, "status": "DONE", "transactionKey": "t"}
    deposit["orderId"] = "canary-account"
    stack.deliver(raw_json(deposit), {})
    stack.deliver(raw_json({"eventType": "BILLING_DELETED", "data": {"billingKey": FORGED_BILLING_KEY}}), {})
    stack.deliver(raw_json({"eventType": "UNKNOWN", "secret": FORGED_SECRET}), {})
    stack.deliver(forged[:-9], {})
    not_json = b'{"secret": "' + FORGED_SECRET.encode() + b'", "secret": NaN}'
    for raw in (forged[:-9], not_json, forged + b" " * 2_000_000):
        stack.deliver(raw, signed(raw))
    for nonsense in ({"totalAmount": MISPLACED}, {"approvedAt": MISPLACED}, {"cancels": MISPLACED}):
        raw = payment_event({"paymentKey": "canary-odd", "orderId": "canary-odd", "status": "DONE", **nonsense})
        stack.deliver(raw, signed(raw))
    cookie = {"cookie": f"supatoss_ops={FORGED_SECRET}", "connection": "upgrade", "upgrade": "websocket"}
    socket = {**cookie, "sec-websocket-version": "13", "sec-websocket-key": "AAAAAAAAAAAAAAAAAAAAAA=="}
    stack.keep("answers", stack.http.get(f"{stack.service_url}/webhooks/toss", headers=socket).text)


def fail(stack: Stack) -> None:
    """A row that the project refuses, amounts that differ, a Toss that fails in every way, a Data API that is away."""
    stack.execute("alter table payments add constraint own_rule check (order_id <> 'canary-refused') not valid")
    stack.pay("canary-refused", method="가상계좌")
    for order in ("canary-mismatch", "canary-mismatch-2"):
        stack.execute(
            "insert into payments (order_id, payment_key, order_name, amount, payment_status)"
            " values (%s, 'placeholder-' || %s, '주문', 1, 'PENDING')",
            *(order, order),
        )
        stack.pay(order)
    for fault in (
        {"status": 500},
        {"status": 401, "code": "UNAUTHORIZED_KEY"},
        {"status": 429, "retry_after_seconds": 1},
        {"garbage": True},
        {"drop": True},
        {"delay_seconds": 2},
    ):
        stack.play("faults", path_prefix="/v1/payments", count=1, **fault)
        raw = payment_event({"paymentKey": f"canary-fault-{len(fault)}", "secret": FORGED_SECRET})
        stack.deliver(raw, {})
    deposit = {"paymentKey": "canary-later", "orderId": "canary-later", "secret": FORGED_SECRET}
    raw = raw_json({"eventType": "VIRTUAL_ACCOUNT_DEPOSIT", "data": deposit})
    assert stack.deliver(raw, signed(raw)).json()["event_status"] == "pending"
    stack.until_quiet()
    until(
        lambda: stack.query("select 1 from webhook_events where order_id = 'canary-later' and attempts > 0"),
        "the worker attempts an event",
    )
    until(lambda: any("canary-mismatch" in body for body in stack.receiver.bodies), "an alert is sent")
    stack.supabase.stop()
    raw = payment_event({"paymentKey": "canary-away", "orderId": "canary-away", "secret": FORGED_SECRET})
    assert stack.deliver(raw, signed(raw)).status_code == 503
    stack.keep("answers", stack.http.get(f"{stack.service_url}/readyz").text)
    stack.supabase.start()
    stack.supabase.wait_ready()


def run_commands(stack: Stack) -> None:
    """Every command that reads or changes something, in text and as JSON."""
    (failed,) = stack.query("select id::text from webhook_events where status = 'failed' limit 1")
    (subscribed,) = stack.query("select id::text from webhook_events where event_type = 'BILLING_KEY_ISSUED' limit 1")
    refused = stack.query("select id::text from supatoss.refused_deliveries order by id")
    commands = [
        *(["events", "list", "--limit", "500", *form] for form in ([], ["--json"])),
        *(["events", "show", *event, *form] for event in (failed, subscribed) for form in ([], ["--json"])),
        *(["events", "refused", *form] for form in ([], ["--json"])),
        *(["events", "refused", "--body", *delivery] for delivery in refused),
        ["events", "replay", *failed],
        ["events", "replay", *failed, "--apply", "--actor", "canary", "--json"],
        ["events", "ignore", *failed, "--reason", "a test", "--apply", "--actor", "canary"],
        ["reconcile", "--day", f"{dt.datetime.now(dt.timezone(dt.timedelta(hours=9))):%Y-%m-%d}", "--apply", "--json"],
        ["reconcile", "--day", "2026-01-01", "--settlements"],
        ["trigger", "--list"],
        ["trigger", "PAYMENT_STATUS_CHANGED", "--to", f"{stack.service_url}/webhooks/toss"],
        ["listen", "--to", f"{stack.service_url}/webhooks/toss", "--since", "1h", "--once", "--json"],
        ["emulator"],
        ["uninstall", "--database-url", stack.dsn],
        ["register", "--url", stack.service_url],
        *(["doctor", "--send-test-alert", *form] for form in ([], ["--json"])),
        ["harden"],
        ["correct-times"],
    ]
    for command in commands:
        shown = CliRunner().invoke(app, command, env=dict(stack.settings))
        assert shown.exception is None or isinstance(shown.exception, SystemExit), (command, shown.exception)
        stack.keep(f"supatoss {' '.join(command[:2])}", shown.output)
    wrong = {"TOSS_SECURITY_KEY": f"{FORGED_SECRET} x", "TOSS_SECRET_KEY": "", "ALERT_WEBHOOK_SECRET": FORGED_SECRET}
    wrong |= {"SUPABASE_URL": f"https://user:{FORGED_SECRET}@project.example", "OPS_PASSWORD": FORGED_SECRET[:5]}
    for command, named in (
        (["reconcile"], "TOSS_SECRET_KEY"),
        (["events", "list"], "SUPABASE_URL"),
        (["init", "--yes"], ""),
    ):
        shown = CliRunner().invoke(app, command, env={**stack.settings, **wrong})
        assert named in shown.output
        stack.keep("supatoss with wrong settings", shown.output)


class Operator:
    """A browser at /ops. Keeps every page; the token in its forms and its own cookie are not secrets to its owner."""

    def __init__(self, stack: Stack) -> None:
        self._stack = stack
        self._browser = httpx.Client(base_url=stack.service_url, trust_env=False, timeout=20.0)

    def get(self, path: str) -> httpx.Response:
        """One page."""
        response = self._browser.get(path)
        self._stack.keep("pages", f"{path} {response.status_code}\n{response.text}\n")
        return response

    def post(self, path: str, form_on: str, **fields: str) -> httpx.Response:
        """A form of a page, with the fields that it hides."""
        hidden = re.findall(r'<input type="hidden" name="(\w+)" value="([^"]*)"', self.get(form_on).text)
        origin = {"origin": self._stack.service_url}
        response = self._browser.post(path, data={**dict(hidden), **fields}, headers=origin)
        self._stack.keep("pages", f"{path} {response.status_code}\n{response.text}\n")
        return response

    def cookies(self) -> Mapping[str, str]:
        return dict(self._browser.cookies)

    def close(self) -> None:
        self._browser.close()


def look_at_pages(stack: Stack, canaries: Canaries) -> None:
    """Signs in, with a typing error first, and opens everything."""
    operator = Operator(stack)
    try:
        operator.post("/ops/sign-in", "/ops/sign-in", username="operator", password=MISTYPED_PASSWORD)
        operator.post("/ops/sign-in", "/ops/sign-in", username="operator", password=OPS_PASSWORD)
        for name, value in operator.cookies().items():
            if len(value) > 16:
                canaries.add(f"cookie {name}", value)
        events = stack.query("select id::text from webhook_events")
        refused = stack.query("select id::text from supatoss.refused_deliveries")
        orders = stack.query("select order_id from payments")
        for path in (
            *("/ops/", "/ops/events", "/ops/refused"),
            *(f"/ops/events/{event}" for (event,) in events),
            *(f"/ops/refused/{delivery}" for (delivery,) in refused),
            *(f"/ops/payment?order={order}" for (order,) in orders),
        ):
            assert operator.get(path).status_code == 200, path
        (event,) = stack.query("select id::text from webhook_events where status = 'failed' limit 1")[0]
        operator.post(f"/ops/events/{event}/replay", f"/ops/events/{event}")
        operator.post(f"/ops/events/{event}/ignore", f"/ops/events/{event}", reason="a test")
        operator.post("/ops/sign-out", "/ops/events")
    finally:
        operator.close()


def read_metrics(stack: Stack) -> None:
    """With the token, and with a wrong one."""
    for token in (METRICS_TOKEN, FORGED_SECRET):
        response = stack.http.get(f"{stack.service_url}/metrics", headers={"authorization": f"Bearer {token}"})
        stack.keep("metrics", response.text)
    assert "supatoss_deliveries_total" in stack.written["metrics"]


def play(stack: Stack, canaries: Canaries) -> None:
    """Everything, in an order in which each step has something to show."""
    steps: list[Callable[[], None]] = [
        lambda: take_money(stack, canaries),
        lambda: subscribe(stack, canaries),
        lambda: forge(stack),
        lambda: fail(stack),
        lambda: run_commands(stack),
        lambda: look_at_pages(stack, canaries),
        lambda: read_metrics(stack),
    ]
    for step in steps:
        step()
