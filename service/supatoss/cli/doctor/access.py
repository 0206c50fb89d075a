"""What the project's publishable key can read. Every browser has that key, so it should read nothing."""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

import httpx

from supatoss.cli.doctor import Verdict, failed, ok, skipped, warning
from supatoss.key_shapes import role_of
from supatoss.settings import Settings
from supatoss.store.client import Function
from supatoss.store.keys import key_headers
from supatoss.store.problems import no_answer
from supatoss.store.schema import MIGRATE

NAME = "publishable key"

TABLES = (
    "webhook_events",
    "payments",
    "subscriptions",
    "settlements",
    "webhook_health",
    "webhook_failures",
    "payment_timeline",
)
"""Every table and view of ours. A test compares the list with the migrations."""

_NO_ID = "00000000-0000-0000-0000-000000000000"

ARGUMENTS: Mapping[Function, Mapping[str, Any]] = MappingProxyType(
    {
        Function.RECORD_EVENTS: {"events": "-"},
        Function.KNOWN_ORDERS: {"order_ids": "[]"},
        Function.READ_KNOWN_KEYS: dict.fromkeys(("order_id", "billing_key", "cancel_key", "cancel_request")),
        Function.NOTE_REFUSED: {"deliveries": "[]"},
        Function.READ_REFUSED: {"max_deliveries": 0, "before_id": None},
        Function.CLAIM_EVENTS: {"max_events": 0, "lease_seconds": 1},
        Function.FINISH_EVENT: {"attempt": "-"},
        Function.FIND_EVENTS: {"query": "-"},
        Function.REPLAY_EVENTS: {"readings": "-", "actor": "doctor", "dry_run": True},
        Function.IGNORE_EVENTS: {"event_ids": "-", "reason": "doctor", "actor": "doctor", "dry_run": True},
        Function.UNIGNORE_EVENTS: {"event_ids": "-", "actor": "doctor", "dry_run": True},
        Function.OPEN_BATCH: {"batch": "-"},
        Function.READ_BATCH: {"batch": _NO_ID},
        Function.CLAIM_BATCH: {"batch": _NO_ID, "actor": "doctor", "reason": None},
        Function.NOTE_BATCH: {"batch": _NO_ID, "outcomes": "-"},
        Function.OVERDUE_ACCOUNTS: {"max_accounts": 0},
        Function.SCHEMA_VERSION: {},
        Function.TABLE_NAMES: {},
        Function.CLAIM_ALERTS: {"max_alerts": 0, "lease_seconds": 1},
        Function.CONFIRM_ALERTS: {"tokens": "-"},
        Function.CHECK_WRITE: {},
        Function.FORGET_PROCESS: {"observer": "-"},
        Function.NOTE_ALERTS: {"look": "-"},
        Function.OLDEST_WAITING_SECONDS: {},
        Function.READ_ALERT_FACTS: {"max_items": 0},
        Function.ADVANCE_RECONCILIATION: {"step": "-", "transactions": [], "findings": []},
        Function.COUNT_FINDINGS: {"reconciliation": "-"},
        Function.EMPTY_PAYLOADS: {"older_than_days": 36500, "max_events": 0},
        Function.OPEN_RECONCILIATION: {"request": "-"},
        Function.READ_PAYMENT_STANDING: {"payment_key": None, "order_id": None},
        Function.READ_FINDINGS: {
            "reconciliation": "-",
            "after_subject": "",
            "of_outcome": None,
            "max_findings": 0,
        },
        Function.READ_RECONCILIATION_PAGE: {
            "reconciliation": "-",
            "day_start": "-",
            "day_end": "-",
            "after_subject": "",
            "max_subjects": 0,
        },
        Function.READ_SETTLEMENTS: {"keys": "-"},
        Function.FIND_OPEN_FINDINGS: {"wanted": "-", "max_findings": 0},
        Function.NOTE_REPAIRS: {"repaired": "-", "actor": "doctor"},
        Function.READ_OPEN_FINDINGS: {"older_than_seconds": 0, "max_findings": 0},
        Function.READ_OPEN_ORDERS: {
            "reconciliation": "-",
            "day_start": "-",
            "day_end": "-",
            "after_order": "",
            "max_orders": 0,
        },
        Function.NOTE_FINDINGS: {"reviewed": "-"},
        Function.IGNORE_FINDINGS: {
            "wanted": "-",
            "reason": "doctor",
            "actor": "doctor",
            "dry_run": True,
            "max_findings": 0,
        },
        Function.UNCOMPARED_DAYS: {"last_day": "-", "max_days": 0},
        Function.RELEASE_RECONCILIATION: {"reconciliation": "-", "lease": "-", "problem": None},
        Function.REPAIR_PAYMENT: {"repair": "-"},
        Function.REPAIR_SETTLEMENT: {"repair": "-"},
        Function.HARDEN: {"dry_run": True},
        Function.OLD_TIMES: {},
        Function.READ_EXPOSURE: {},
        Function.CORRECT_TIMES: {"table_name": "-", "after_id": None, "max_rows": 0},
        Function.OPEN_SESSION: {"session_id": None, "operator": "doctor", "address": "-", "seconds": 0},
        Function.READ_SESSION: {"session_id": _NO_ID},
        Function.CONFIRM_SESSION: {"session_id": _NO_ID},
        Function.END_SESSIONS: {"session_id": _NO_ID, "operator": None, "ended_by": "doctor"},
        Function.LIST_SESSIONS: {},
        Function.OPS_HEALTH: {},
        Function.OPS_LIST: {"query": "-"},
        Function.OPS_OVERVIEW: {"p_hours": 1},
        Function.OPS_PAYMENT: {"p_order_id": "-"},
        Function.OPS_RECONCILIATIONS: {"p_day": "-"},
        Function.OPS_ROWS: {"p_event_id": _NO_ID},
    }
)
"""Arguments that change nothing even if a call is allowed: "-" is not JSON, so a function that reads JSON fails."""

_REFUSED = (401, 403)
_CLOSE = "in the SQL Editor: revoke all on table {0} from public, anon; alter table {0} enable row level security;"
_EMPTY = "run doctor again when the table has a row"
_NO_KEY = "set SUPABASE_PUBLISHABLE_KEY (Project Settings > API Keys) where doctor runs; the service doesn't use it"


async def check_access(settings: Settings, http: httpx.AsyncClient) -> list[Verdict]:
    """One verdict for each table, and one for all functions."""
    if settings.supabase_publishable_key is None:
        return [warning(NAME, "not checked: SUPABASE_PUBLISHABLE_KEY is not set", _NO_KEY)]
    key = settings.supabase_publishable_key.get_secret_value()
    if role_of(key) == "service_role":
        return [failed(NAME, "SUPABASE_PUBLISHABLE_KEY is the service_role key, which reads everything", _NO_KEY)]
    rest = f"{settings.supabase_url}/rest/v1"
    try:
        first = await http.get(f"{rest}/{TABLES[0]}?select=*&limit=1", headers=key_headers(key))
        if _refuses_key(first):
            what = f"can't verify what it reads: SUPABASE_PUBLISHABLE_KEY is not accepted, HTTP {first.status_code}"
            return [warning(NAME, what, "check that SUPABASE_PUBLISHABLE_KEY is the publishable key of this project")]
        names = await _find_names(http, rest, settings)
        tables = [await _check_table(http, rest, key, settings, table, names[table]) for table in TABLES]
        return [*tables, await _check_functions(http, rest, key)]
    except httpx.HTTPError as error:
        return [failed(NAME, str(no_answer(error)), "see the Data API's verdict")]


async def _find_names(http: httpx.AsyncClient, rest: str, settings: Settings) -> dict[str, str]:
    """Each table with its schema: `supatoss migrations copy` may have put it elsewhere, beside a namesake in public."""
    answer = await http.post(f"{rest}/rpc/{Function.TABLE_NAMES}", headers=_own_headers(settings), json={})
    found = _json(answer) if answer.is_success else None
    return {table: f"public.{table}" for table in TABLES} | (found if isinstance(found, dict) else {})


def _own_headers(settings: Settings) -> dict[str, str]:
    publishable_key = settings.supabase_publishable_key
    return key_headers(
        settings.supabase_secret_key.get_secret_value(),
        publishable_key.get_secret_value() if publishable_key else None,
    )


async def _check_table(
    http: httpx.AsyncClient, rest: str, key: str, settings: Settings, table: str, name: str
) -> Verdict:
    schema, _, relation = name.partition(".")
    check, url = f"anon reads {table}", f"{rest}/{relation}?select=*&limit=1"
    if schema != "public":
        answer = await http.get(url, headers={**key_headers(key), "Accept-Profile": schema})
        if answer.status_code in (httpx.codes.NOT_FOUND, httpx.codes.NOT_ACCEPTABLE):
            return ok(check, f"{name} is not in the Data API")
    else:
        answer = await http.get(url, headers=key_headers(key))
    if answer.status_code in _REFUSED:
        return ok(check, "refused")
    if answer.status_code == httpx.codes.NOT_FOUND:
        return failed(check, "the table is missing", MIGRATE)
    if not answer.is_success or not isinstance(rows := _json(answer), list):
        return warning(check, f"can't verify: HTTP {answer.status_code}", "see the project's logs")
    if rows:
        return failed(check, "anyone with the publishable key can read its rows", _CLOSE.format(name))
    ours = await http.get(url, headers=_own_headers(settings))
    if _json(ours) == []:
        return skipped(check, "can't verify: the table is empty", _EMPTY)
    if _refuses_key(ours):
        return skipped(check, "can't verify: SUPABASE_SECRET_KEY is not accepted, and no row is visible without it")
    if ours.status_code in _REFUSED:
        return ok(check, "no row is visible; the service's own key can't see whether there are any")
    return ok(check, "row level security hides every row")


async def _check_functions(http: httpx.AsyncClient, rest: str, key: str) -> Verdict:
    check = "anon calls functions"
    callable_ones, missing = [], []
    for function, arguments in ARGUMENTS.items():
        answer = await http.post(f"{rest}/rpc/{function}", headers=key_headers(key), json=dict(arguments))
        if answer.status_code == httpx.codes.NOT_FOUND:
            missing.append(function)
        elif answer.status_code not in _REFUSED:
            callable_ones.append(function)
    if callable_ones:
        fix = "in the SQL Editor: select supatoss.close_functions();"
        return failed(check, f"it can call {', '.join(callable_ones)}", fix)
    if missing:
        return warning(check, f"missing, or hidden from this key: {', '.join(missing)}", MIGRATE)
    return ok(check, f"all {len(ARGUMENTS)} refused")


def _refuses_key(answer: httpx.Response) -> bool:
    """Whether the key itself is refused, which says nothing about a table. PostgreSQL refuses a table with 42501."""
    content = _json(answer)
    code = content.get("code") if isinstance(content, dict) else None
    return answer.status_code in _REFUSED and code != "42501"


def _json(answer: httpx.Response) -> Any:
    try:
        return answer.json()
    except ValueError:
        return None
