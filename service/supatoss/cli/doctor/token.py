"""A token as SUPABASE_SECRET_KEY: whether the gateway accepts it, and until when."""

import datetime as dt

from supatoss.cli.doctor import Verdict, failed, ok, warning
from supatoss.key_shapes import claims_of, role_of
from supatoss.settings import Settings
from supatoss.store.keys import SERVICE_ROLE, is_legacy_key, is_token

NAME = "token"

RENEW_DAYS = 30.0
"""Enough time to notice the warning and renew the token."""

_RENEW = f"sign a new token of {SERVICE_ROLE}, set it as SUPABASE_SECRET_KEY and restart (docs/deployment.md)"
_NO_GATEWAY_KEY = (
    "set SUPABASE_PUBLISHABLE_KEY (Project Settings > API Keys) where the service runs: beside a token, Supabase's"
    " gateway needs an API key"
)


async def check_token(settings: Settings) -> list[Verdict]:
    """Nothing for a secret key, or for the legacy service_role key."""
    return judge_token(settings, dt.datetime.now(dt.UTC))


def judge_token(settings: Settings, now: dt.datetime) -> list[Verdict]:
    """The same, at a given time."""
    key = settings.supabase_secret_key.get_secret_value()
    if not is_token(key) or is_legacy_key(key):
        return []
    role = role_of(key)
    if settings.supabase_publishable_key is None:
        return [failed(NAME, f"the service signs in as {role}, but has no key for the gateway", _NO_GATEWAY_KEY)]
    expires = claims_of(key).get("exp")
    if not isinstance(expires, int | float):
        return [ok(NAME, f"the service signs in as {role}; the token never expires")]
    days = (expires - now.timestamp()) / dt.timedelta(days=1).total_seconds()
    if days <= 0:
        return [failed(NAME, f"the token of {role} expired {-days:.0f} days ago", _RENEW)]
    message = f"the service signs in as {role}; the token expires in {days:.0f} days"
    return [ok(NAME, message) if days > RENEW_DAYS else warning(NAME, message, _RENEW)]
