"""Scenarios about the processes themselves: settings, keys, the target of alerts, and a process that is killed."""

import base64
import hashlib
import hmac
import json
import re

from tests.drill.person import says
from tests.drill.runbook import RUNBOOK, read_sections
from tests.drill.scenario import Scenario
from tests.drill.stage import NEW_KEY, Stage
from tests.faults.toss import ALL
from tests.faults.world import LIVE_KEY

NO_LEASES = "update supatoss.alerts set telling_until = now() where telling_until > now()"
"""As a minute later: what could not be sent is free for the next try."""


def _webhook_deleted(stage: Stage) -> None:
    """The incoming webhook of alerts was deleted, and something happens that somebody should know."""
    stage.receiver.status = 404
    stage.order("order-untold", 100)
    stage.pay("order-untold", 9_900)
    known = "select 1 from supatoss.alerts where rule = 'alerts_not_sent' and subject like '%%:web:%%'"
    stage.until(lambda: stage.execute(NO_LEASES) or stage.execute(known), "the table knows that alerts are not sent")
    says(stage.log(), "alert not sent")
    says(stage.follow("supatoss doctor --send-test-alert", status=1), "the target answers HTTP 404")
    stage.receiver.status = 200
    stage.restart(ALERT_WEBHOOK_URL=f"{stage.receiver.url}-new")
    stage.execute(NO_LEASES)
    stage.until_started("amount_mismatch")
    stage.until_ended("alerts_not_sent")
    stage.execute("update payments set amount = 9900")
    stage.type("supatoss events replay --status failed --apply")
    stage.until_ended("amount_mismatch")


def _worker_killed(stage: Stage) -> None:
    stage.pay("order-before")
    stage.until_event("order-before", "processed")
    stage.until(lambda: stage.execute("select 1 from supatoss.processes where name like 'm2:%%'"), "the worker beats")
    stage.worker.kill()
    stage.execute(
        "update supatoss.processes set beating_since = now() - interval '1 hour', seen_at = case"
        " when name like 'm2:%%' then now() - interval '6 minutes' else seen_at end"
    )
    alert = stage.until_started("process_gone")
    machine = alert.subject.split(":")[0]
    says(stage.follow("fly status"), f"{machine} stopped")
    stage.follow("fly logs")
    stage.follow("fly machine start ID", ids=machine)
    stage.until_ended("process_gone", alert.subject)


def _signed_alerts(stage: Stage) -> None:
    secret = stage.follow('echo "whsec_$(openssl rand -base64 32)"').strip()
    stage.restart(ALERT_WEBHOOK_SECRET=secret, PUBLIC_URL=stage.service.url, OPS_PASSWORD="a password for drills")
    stage.order("order-signed", 100)
    stage.pay("order-signed", 9_900)
    message = stage.until_started("amount_mismatch")
    headers = {name.lower(): value for name, value in message.headers.items()}
    signed = f"{headers['webhook-id']}.{headers['webhook-timestamp']}.".encode() + message.raw
    expected = hmac.digest(base64.b64decode(secret.removeprefix("whsec_")), signed, hashlib.sha256)
    assert headers["webhook-signature"] == f"v1,{base64.b64encode(expected).decode()}"
    (sample,) = re.findall(
        r"```json\n(.*?)```", read_sections(RUNBOOK.read_text(encoding="utf-8"))[stage.section.name].text, re.DOTALL
    )
    documented = json.loads(sample)
    assert documented.keys() == message.body.keys()
    assert documented["data"].keys() == message.body["data"].keys()
    assert message.body["data"]["link"].startswith(f"{stage.service.url}/ops/payment?order=")
    stage.execute("update payments set amount = 9900")
    stage.type("supatoss events replay --status failed --apply")
    stage.until_ended("amount_mismatch")


def _key_leaked(stage: Stage) -> None:
    """Old key, both, the new one alone, while webhooks come: unsigned ones, and signed ones of the guide's form."""
    stage.pay("order-with-the-old-key")
    body = {
        "eventType": "BILLING_KEY_ISSUED",
        "data": {"customerKey": "customer-1", "issuedAt": "2026-11-24T10:00:00+09:00"},
    }

    def issue(number: int, key: str) -> int:
        return stage.post({**body, "data": {**body["data"], "billingKey": f"billing-{number}"}}, key)  # type: ignore[dict-item]

    assert issue(1, LIVE_KEY) == 200
    assert issue(2, NEW_KEY) == 401
    stage.follow("fly secrets set TOSS_SECRET_KEY=new,old", new=NEW_KEY, old=LIVE_KEY)
    says(stage.follow("supatoss events refused"), "invalid_signature")
    assert issue(2, NEW_KEY) == 200, "what was refused is taken when it comes again"
    assert issue(3, LIVE_KEY) == 200
    stage.pay("order-with-both")
    stage.restart(TOSS_SECRET_KEY=NEW_KEY)
    stage.pay("order-with-the-new-key")
    assert issue(4, LIVE_KEY) == 401
    stage.until_event("order-with-the-new-key", "processed")
    days = [stage.today(), stage.today()]
    stage.follow("supatoss reconcile --from YYYY-MM-DD --to YYYY-MM-DD", days=days)


def _never_finished(stage: Stage) -> None:
    """Toss lets nobody list its transactions."""
    stage.toss.fault(ALL, path_prefix="/v1/transactions", status=401, code="UNAUTHORIZED_KEY")
    stage.restart(RECONCILE_AT="00:00")
    stage.until(lambda: "job postponed" in stage.log(), "the log says that it was put off")
    says(stage.follow("fly status"), "m2 started")
    stage.toss.be_well()
    stage.follow("supatoss doctor")
    stage.follow("supatoss reconcile")
    stage.follow("supatoss reconcile --since-last")


PROCESSES = (
    Scenario(
        "alerts_not_sent", "the incoming webhook was deleted", _webhook_deleted, ["alerts_not_sent", "amount_mismatch"]
    ),
    Scenario("process_gone", "a worker is killed", _worker_killed, ["process_gone"]),
    Scenario("Alerts as JSON", "a target of one's own", _signed_alerts, ["amount_mismatch"]),
    Scenario("reconciliation_stale", "Toss refuses the list", _never_finished),
    Scenario("A key leaked", "and is replaced while webhooks come", _key_leaked),
)
