"""Who may read and write what through the Data API.

Supabase Lite grants every table to anon and authenticated again when it starts, so only row level security shows here;
what the grants forbid (a user's own billing_key) is in tests/database/test_permissions.py.
"""

import datetime as dt
import itertools
from typing import Any

import httpx
import jwt
import pytest

from tests.integration.conftest import JWT_SECRET, PUBLISHABLE_KEY, Stack, service_token
from tests.integration.test_main_job import payment

TABLES = ("payments", "subscriptions", "webhook_events", "settlements", "peek_operator_actions", "peek_alerts")
FUNCTIONS: dict[str, dict[str, Any]] = {
    "record_webhook_events_v1": {"events": "[]"},
    "supatoss_schema_version": {},
    "find_webhook_events_v1": {"query": "{}"},
    "replay_webhook_events_v1": {"readings": "[]", "actor": "a", "dry_run": True},
    "ignore_webhook_events_v1": {"event_ids": "[]", "reason": "r", "actor": "a", "dry_run": True},
    "supatoss_oldest_waiting_seconds_v1": {},
    "supatoss_read_alert_facts_v1": {"max_items": 20},
    "supatoss_note_alerts_v1": {"look": "{}"},
    "supatoss_claim_alerts_v1": {"max_alerts": 1, "lease_seconds": 1},
    "supatoss_confirm_alerts_v1": {"tokens": "[]"},
    "supatoss_forget_process_v1": {"observer": "a"},
    "supatoss_check_write_v1": {},
}
OWNER = "11111111-1111-4111-8111-111111111111"
STRANGER = "22222222-2222-4222-8222-222222222222"


def token(user: str) -> str:
    """What a signed-in user's browser sends."""
    expires = dt.datetime.now(dt.UTC) + dt.timedelta(hours=1)
    return jwt.encode({"sub": user, "role": "authenticated", "aud": "authenticated", "exp": expires}, JWT_SECRET)


@pytest.fixture(scope="module")
def rows(stack: Stack) -> None:
    """An order and a subscription of OWNER, and something in every other table."""
    stack.post(payment("owned", secret="ps_of_owned"))
    stack.post({"eventType": "BILLING_KEY_ISSUED", "data": {"billingKey": "bk-owned", "customerKey": "owned"}})
    stack.post({"eventType": "SETTLEMENT_COMPLETED", "data": {"orderId": "owned", "amount": 1}})
    stack.data_api("PATCH", "payments?order_id=eq.owned", json={"user_id": OWNER}).raise_for_status()
    stack.data_api("PATCH", "subscriptions?customer_key=eq.owned", json={"user_id": OWNER}).raise_for_status()
    stack.data_api("POST", "peek_operator_actions", json={"actor": "a", "action": "ignore"}).raise_for_status()
    now = dt.datetime.now(dt.UTC).isoformat()
    alert = {"rule": "silence", "subject": "made up", "started_at": now, "seen_at": now, "ended_at": now}
    told = {"start_told_at": now, "end_told_at": now}
    stack.data_api("POST", "peek_alerts", json={**alert, **told}).raise_for_status()


def as_role(stack: Stack, role: str, method: str, path: str, **options: Any) -> httpx.Response:
    return stack.data_api(method, path, PUBLISHABLE_KEY, token(OWNER) if role == "authenticated" else None, **options)


def content(stack: Stack) -> dict[str, Any]:
    return {table: sorted(stack.rows(table), key=repr) for table in TABLES}


@pytest.mark.usefixtures("rows")
@pytest.mark.parametrize(("role", "table"), list(itertools.product(["anon", "authenticated"], TABLES)))
def test_nobody_but_the_service_writes(stack: Stack, role: str, table: str) -> None:
    before = content(stack)
    everything = f"{table}?created_at=gt.2000-01-01"
    as_role(stack, role, "POST", table, json=before[table][0])
    as_role(stack, role, "PATCH", everything, json={"created_at": "2020-01-01"})
    as_role(stack, role, "DELETE", everything)
    assert content(stack) == before


@pytest.mark.usefixtures("rows")
@pytest.mark.parametrize(
    ("role", "table"),
    [
        *(("anon", table) for table in TABLES),
        *(
            ("authenticated", table)
            for table in ("webhook_events", "settlements", "peek_operator_actions", "peek_alerts")
        ),
    ],
)
def test_what_is_the_service_s_is_read_by_nobody_else(stack: Stack, role: str, table: str) -> None:
    answer = as_role(stack, role, "GET", table)
    assert answer.status_code in (401, 403) or answer.json() == []
    assert stack.rows(table) != []


@pytest.mark.usefixtures("rows")
def test_a_user_reads_own_payments_with_select_star(stack: Stack) -> None:
    answer = as_role(stack, "authenticated", "GET", "payments?select=*")
    assert [row["order_id"] for row in answer.json()] == ["owned"]
    assert "ps_of_owned" not in answer.text
    other = stack.data_api("GET", "payments", PUBLISHABLE_KEY, token(STRANGER))
    assert other.json() == []


@pytest.mark.usefixtures("rows")
def test_a_user_reads_own_subscriptions(stack: Stack) -> None:
    answer = as_role(stack, "authenticated", "GET", "subscriptions?select=customer_key,status")
    assert answer.json() == [{"customer_key": "owned", "status": "ACTIVE"}]


@pytest.mark.parametrize("role", ["anon", "authenticated"])
@pytest.mark.parametrize("function", FUNCTIONS)
def test_nobody_but_the_service_calls_the_functions(stack: Stack, role: str, function: str) -> None:
    answer = as_role(stack, role, "POST", f"rpc/{function}", json=FUNCTIONS[function])
    assert answer.status_code in (401, 403)
    assert answer.json()["code"] == "42501"


@pytest.mark.parametrize("function", ["project_payments", "store_events", "apply_events"])
def test_the_inner_functions_are_not_in_the_data_api(stack: Stack, function: str) -> None:
    assert stack.data_api("POST", f"rpc/{function}", json={}).status_code == 404


@pytest.mark.parametrize(
    "table",
    [
        "operator_actions",
        "operator_sessions",
        "alerts",
        "reconciliations",
        "refused_deliveries",
        "processes",
        "write_checks",
    ],
)
def test_our_own_tables_are_not_in_the_data_api(stack: Stack, table: str) -> None:
    assert stack.data_api("GET", table).status_code == 404


@pytest.mark.usefixtures("rows")
@pytest.mark.parametrize("table", [*TABLES, "webhook_health", "webhook_failures", "payment_timeline"])
def test_the_service_s_own_key_opens_no_table(stack: Stack, table: str) -> None:
    answer = stack.data_api("GET", table, PUBLISHABLE_KEY, service_token())
    assert (answer.status_code, answer.json()["code"]) == (403, "42501")
    refused = stack.data_api("DELETE", f"{table}?created_at=gt.2000-01-01", PUBLISHABLE_KEY, service_token())
    assert refused.status_code >= 400


@pytest.mark.parametrize(
    ("function", "status"), [("supatoss_check_write_v1", 204), ("supatoss_harden_v1", 403), ("local_sql_editor", 404)]
)
def test_the_service_s_own_key_calls_what_the_service_calls(stack: Stack, function: str, status: int) -> None:
    arguments = {"dry_run": True} if function == "supatoss_harden_v1" else {}
    answer = stack.data_api("POST", f"rpc/{function}", PUBLISHABLE_KEY, service_token(), json=arguments)
    assert answer.status_code == status
