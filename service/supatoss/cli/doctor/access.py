"""What somebody sees who has the project's public key. It is in every browser, so that should be nothing."""

import base64
import binascii
import json
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

import httpx

from supatoss.cli.doctor import MIGRATE, Verdict, failed, ok, warning
from supatoss.settings import Settings
from supatoss.store.client import key_headers

NAME = "public key"

TABLES = (
    "webhook_events",
    "payments",
    "payment_secrets",
    "subscriptions",
    "settlements",
    "operator_actions",
    "alerts",
    "reconciliations",
    "reconciliation_findings",
    "reconciliation_transactions",
    "webhook_health",
    "webhook_failures",
    "payment_timeline",
)
"""Every table and view of ours. A test compares them with the migrations."""

FUNCTIONS: Mapping[str, Mapping[str, Any]] = MappingProxyType(
    {
        "record_webhook_events_v1": {"events": []},
        "record_webhook_events_v2": {"events": "-"},
        "read_webhook_event_vouchers_v1": dict.fromkeys(
            ("order_id", "payment_key", "billing_key", "cancel_key", "cancel_request")
        ),
        "claim_webhook_events_v1": {"max_events": 0, "lease_seconds": 1},
        "finish_webhook_event_v1": {"attempt": "-"},
        "find_webhook_events_v1": {"query": "-"},
        "replay_webhook_events_v1": {"readings": "-", "actor": "doctor", "dry_run": True},
        "ignore_webhook_events_v1": {"event_ids": "-", "reason": "doctor", "actor": "doctor", "dry_run": True},
        "supatoss_overdue_accounts_v1": {"max_accounts": 0},
        "supatoss_schema_version": {},
        "supatoss_claim_alerts_v1": {"max_alerts": 0, "lease_seconds": 1},
        "supatoss_confirm_alerts_v1": {"tokens": "-"},
        "supatoss_note_alerts_v1": {"look": "-"},
        "supatoss_oldest_waiting_seconds_v1": {},
        "supatoss_read_alert_facts_v1": {"max_items": 0},
        "supatoss_advance_reconciliation_v1": {"step": "-", "transactions": [], "findings": []},
        "supatoss_count_reconciliation_findings_v1": {"reconciliation": "-"},
        "supatoss_empty_payloads_v1": {"older_than_days": 36500, "max_events": 0},
        "supatoss_open_reconciliation_v1": {"request": "-"},
        "supatoss_read_payment_standing_v1": {"payment_key": None, "order_id": None},
        "supatoss_read_reconciliation_findings_v1": {
            "reconciliation": "-",
            "after_subject": "",
            "of_outcome": None,
            "max_findings": 0,
        },
        "supatoss_read_reconciliation_page_v1": {
            "reconciliation": "-",
            "day_start": "-",
            "day_end": "-",
            "after_subject": "",
            "max_subjects": 0,
        },
        "supatoss_read_settlements_v1": {"keys": "-"},
        "supatoss_release_reconciliation_v1": {"reconciliation": "-", "lease": "-"},
        "supatoss_repair_payment_v1": {"repair": "-"},
        "supatoss_repair_settlement_v1": {"repair": "-"},
        "supatoss_ops_overview_v1": {"p_hours": 1},
        "supatoss_ops_payment_v1": {"p_order_id": "-"},
        "supatoss_ops_rows_v1": {"p_event_id": "00000000-0000-0000-0000-000000000000"},
    }
)
"""Every function of ours in the Data API, with arguments that change nothing if a call is let through: "-" is no JSON,
so a function that reads JSON ends there. A test compares them with the migrations."""

_REFUSED = (401, 403)
_CLOSE = (
    "in the SQL Editor: revoke all on table public.{0} from public, anon;"
    " alter table public.{0} enable row level security;"
)
_EMPTY = "look again when the table has a row"
_NO_KEY = "set SUPABASE_PUBLISHABLE_KEY (Project Settings > API Keys) where doctor runs; the service needs it not"


async def check_access(settings: Settings, http: httpx.AsyncClient) -> list[Verdict]:
    """A verdict a table, and one for all functions."""
    if settings.supabase_publishable_key is None:
        return [warning(NAME, "what it can read was not looked at: SUPABASE_PUBLISHABLE_KEY is not set", _NO_KEY)]
    key = settings.supabase_publishable_key.get_secret_value()
    if role_of(key) == "service_role":
        return [failed(NAME, "SUPABASE_PUBLISHABLE_KEY is the service_role key, which reads everything", _NO_KEY)]
    rest = f"{settings.supabase_url}/rest/v1"
    try:
        tables = [await _check_table(http, rest, key, settings, table) for table in TABLES]
        return [*tables, await _check_functions(http, rest, key)]
    except httpx.HTTPError as error:
        return [failed(NAME, f"no answer from the Data API: {type(error).__name__}", "see the verdict on the Data API")]


def role_of(key: str) -> str | None:
    """The role that an older key (a JWT) names, None for the newer ones."""
    try:
        _, payload, _ = key.split(".")
        fields = json.loads(base64.urlsafe_b64decode(payload + "=" * (-len(payload) % 4)))
    except (ValueError, binascii.Error):
        return None
    role = fields.get("role") if isinstance(fields, dict) else None
    return role if isinstance(role, str) else None


async def _check_table(http: httpx.AsyncClient, rest: str, key: str, settings: Settings, table: str) -> Verdict:
    check, url = f"anon reads {table}", f"{rest}/{table}?select=*&limit=1"
    answer = await http.get(url, headers=key_headers(key))
    if answer.status_code in _REFUSED:
        return _told(check, answer)
    if answer.status_code == httpx.codes.NOT_FOUND:
        return failed(check, "the table is not there", MIGRATE)
    if not answer.is_success or not isinstance(rows := _json(answer), list):
        return warning(check, f"cannot be told: HTTP {answer.status_code}", "see the logs of the project")
    if rows:
        return failed(check, "everybody who has the public key reads its rows", _CLOSE.format(table))
    ours = await http.get(url, headers=key_headers(settings.supabase_secret_key.get_secret_value()))
    if _json(ours) == []:
        return warning(check, "it may be asked for and the table is empty, so nothing can be told yet", _EMPTY)
    return ok(check, "row level security hides every row")


async def _check_functions(http: httpx.AsyncClient, rest: str, key: str) -> Verdict:
    check = "anon calls functions"
    callable_ones, missing = [], []
    for function, arguments in FUNCTIONS.items():
        answer = await http.post(f"{rest}/rpc/{function}", headers=key_headers(key), json=dict(arguments))
        if answer.status_code == httpx.codes.NOT_FOUND:
            missing.append(function)
        elif answer.status_code not in _REFUSED:
            callable_ones.append(function)
    if callable_ones:
        mend = "in the SQL Editor: select supatoss.close_functions();"
        return failed(check, f"it may call {', '.join(callable_ones)}", mend)
    if missing:
        return warning(check, f"not there, or not shown to it: {', '.join(missing)}", MIGRATE)
    return ok(check, f"refused, all {len(FUNCTIONS)}")


def _told(check: str, answer: httpx.Response) -> Verdict:
    """A refusal of the table is what is wanted; one of the key itself says nothing about the table."""
    content = _json(answer)
    code = content.get("code") if isinstance(content, dict) else None
    if code == "42501":
        return ok(check, "refused")
    mend = "see that SUPABASE_PUBLISHABLE_KEY is the publishable key of this project"
    return warning(check, f"the key itself is refused: HTTP {answer.status_code}", mend)


def _json(answer: httpx.Response) -> Any:
    try:
        return answer.json()
    except ValueError:
        return None
