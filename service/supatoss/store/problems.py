"""Turns errors of Supabase's client into ours: what is wrong, which setting it is, and the remedy."""

import httpx

from supatoss.causes import failure
from supatoss.errors import SchemaMismatch, StoreError, StoreKeyRefused, StoreRefused, StoreUnavailable
from supatoss.store.schema import MIGRATE, RELOAD

_SQLSTATE_LENGTH = 5
_TRANSIENT_SQLSTATES = ("08", "25006", "25P", "40", "53", "55", "57", "58")
"""Connection; read-only (a server about to be promoted, and Supabase's answer to a full disk); a transaction that ended
before its call, by its time-out too; serialization and deadlock; resources; locks; operator; system."""

_STATES = {
    "25006": "the database is read-only (its disk is full, or it is failing over)",
    "53100": "the database's disk is full",
    "53300": "the database has no free connection",
}
_DISK = "in Supabase's dashboard, Database > disk: enlarge it or delete data, then switch read-only off"
_REMEDIES = {"25006": _DISK, "53100": _DISK, "53300": "fewer connections of other programs, or a larger instance"}
_NO_FUNCTION = "PGRST202"
_NO_OBJECT = ("42883", "42P01", "42703")
"""No such function, table or column, inside a function of ours."""

_OURS = {"SUPA3": ("the unique key of webhook_events (event_key) is missing", MIGRATE)}
"""Of supatoss_check_write_v1."""

_TRANSIENT_POSTGREST = ("PGRST000", "PGRST001", "PGRST002", "PGRST003")
"""PostgREST has no connection, no schema cache yet, or no free connection in its pool."""

_UNAUTHORIZED = "401"
_ELSEWHERE = ("404", "405", "3")
"""PostgREST has codes of its own for what it refuses, so something else gave these answers."""

_PAUSED = "540"
"""Supabase's own status for a project that is paused."""

_STATUS_PAGE = "check Supabase's status page and the project's dashboard"
_RESUME = "resume the project in Supabase's dashboard"
_URL = "check that SUPABASE_URL is the project's address, and that the project is not paused or deleted"
_KEY = (
    "check that SUPABASE_SECRET_KEY is a secret key of the project at SUPABASE_URL, and was not revoked"
    " (Project Settings > API Keys)"
)
_NO_RIGHT = "42501"
_RIGHTS = (
    "use a secret key (sb_secret_…): the role of this key may not call it. A token of supatoss_service may call what"
    " the service calls, once the migrations are there"
)
_NOT_THERE = "what answers at SUPABASE_URL is not a Supabase project"


def no_answer(error: Exception) -> StoreUnavailable:
    """The error for a call without a usable answer."""
    return StoreUnavailable(f"no answer from the Data API: {failure(error, 'SUPABASE_URL')}", _URL)


def refusal(code: str, message: str, http_status: int) -> StoreError:
    """The error for an answer that reports one. Messages of PostgreSQL can hold values of rows, so only codes are kept.

    code: PostgreSQL's, PostgREST's, or an HTTP status; "" where a gateway answers with JSON of its own.
    """
    if code == _NO_FUNCTION:
        return SchemaMismatch(f"the Data API does not know a function of this release: {RELOAD}", RELOAD)
    if code in _NO_OBJECT:
        return SchemaMismatch(f"the database refuses the call: SQLSTATE {code}", MIGRATE)
    if len(code) == _SQLSTATE_LENGTH:
        is_catalog_race = code == "XX000" and "concurrently updated" in message
        if code.startswith(_TRANSIENT_SQLSTATES) or is_catalog_race:
            state = _STATES.get(code, "the database is busy or unavailable")
            return StoreUnavailable(f"{state}: SQLSTATE {code}", _REMEDIES.get(code, _STATUS_PAGE))
        remedy = _RIGHTS if code == _NO_RIGHT else _STATUS_PAGE
        return StoreRefused(*_OURS.get(code, (f"the database refuses the call: SQLSTATE {code}", remedy)))
    if code == _PAUSED:
        return StoreUnavailable(f"the Data API is unavailable: HTTP {code} (the project is paused)", _RESUME)
    if code in _TRANSIENT_POSTGREST or (code.isdigit() and (int(code) >= 500 or int(code) == 429)):
        return StoreUnavailable(
            f"the Data API is unavailable: {f'HTTP {code}' if code.isdigit() else code}", _STATUS_PAGE
        )
    if (code or str(http_status)) == _UNAUTHORIZED:
        return StoreKeyRefused(f"the gateway before the Data API does not accept the key: HTTP {_UNAUTHORIZED}", _KEY)
    if not code and (http_status >= httpx.codes.INTERNAL_SERVER_ERROR or http_status == httpx.codes.TOO_MANY_REQUESTS):
        return StoreUnavailable(f"the gateway before the Data API answers with HTTP {http_status}", _STATUS_PAGE)
    if (code or str(http_status)).startswith(_ELSEWHERE):
        return StoreRefused(f"{_NOT_THERE}: HTTP {code or http_status}", _URL)
    return StoreRefused(f"the Data API refuses the call: {code or f'HTTP {http_status}'}", f"{_KEY}; {_URL}")


def not_readable(function: str, content_type: str) -> StoreRefused:
    """The error for an answer of 200 that a call cannot read."""
    if content_type.startswith("text/html"):
        return StoreRefused(f"{_NOT_THERE}: it answers with a web page", _URL)
    return StoreRefused(f"{function} answered in an unexpected form", MIGRATE)
