"""What keys look like: a key that can't be right is refused at the start, with what it should be. Pure.

Messages continue a sentence that begins with the setting's name, and never show the key.
"""

import base64
import json
import re
from typing import Any

MIN_KEY_CHARACTERS = 16
"""After the prefix. Toss's have 28; whoever knows or guesses one can sign deliveries."""

MIN_SUPABASE_CHARACTERS = 10
"""After sb_secret_. Supabase's have 31."""

WEBHOOK_SECRET_PREFIX = "whsec_"  # noqa: S105 - how such a secret begins
WEBHOOK_SECRET_BYTES = range(24, 65)
"""What the Standard Webhooks allow."""

_TOSS_SECRET_KEY = re.compile(rf"(?:test|live)_g?sk_\w{{{MIN_KEY_CHARACTERS},}}", re.ASCII)
_TOSS_CLIENT_KEY = re.compile(r"(?:test|live)_g?ck_")
_TOSS_SECURITY_KEY = re.compile(r"[0-9a-fA-F]{64}")
_SUPABASE_SECRET_KEY = re.compile(rf"sb_secret_\S{{{MIN_SUPABASE_CHARACTERS},}}")
_DOCUMENTATION_KEY = re.compile(r"test_g?sk_docs_|test_sk_zXLkKEypNArWmo50nX3lmeaxYG5R$")
"""Printed in Toss's documentation (docs.tosspayments.com, "sandbox" and the samples): anybody can sign with them."""

PUBLIC_ROLES = frozenset({"anon", "authenticated"})
"""Roles of Supabase that a browser has."""


def plain_key(key: str) -> str:
    """A key without the whitespace around it. Raises ValueError."""
    key = key.strip()
    if not key:
        raise ValueError("is empty; should be a key")
    if not key.isascii() or not key.isprintable() or " " in key:
        raise ValueError("should be a key of printable ASCII characters without spaces")
    return key


def toss_secret_key(key: str) -> str:
    """A secret key of Toss. Raises ValueError."""
    key = plain_key(key)
    if _TOSS_CLIENT_KEY.match(key):
        raise ValueError("is a client key; should be a secret key (test_sk_…, live_sk_…)")
    if not _TOSS_SECRET_KEY.fullmatch(key):
        raise ValueError(
            "should be a secret key of Toss: test_sk_, live_sk_, test_gsk_ or live_gsk_, and at least "
            f"{MIN_KEY_CHARACTERS} letters and digits"
        )
    return key


def toss_security_key(key: str) -> str:
    """A security key of Toss. Raises ValueError."""
    key = plain_key(key)
    if not _TOSS_SECURITY_KEY.fullmatch(key):
        raise ValueError("should be a security key of Toss: 64 hex digits")
    return key


def is_documentation_key(key: str) -> bool:
    """Whether it is a secret key that Toss's documentation shows to everybody."""
    return _DOCUMENTATION_KEY.match(key) is not None


def supabase_secret_key(key: str) -> str:
    """A key of Supabase that may read and write our tables. Raises ValueError."""
    key = plain_key(key)
    if key.startswith("sb_publishable_"):
        raise ValueError("is a publishable key; should be the secret one (sb_secret_…)")
    role = role_of(key)
    if role in PUBLIC_ROLES:
        raise ValueError(f"is a key of the role {role}; should be the secret one (sb_secret_…, or service_role)")
    if not role and not _SUPABASE_SECRET_KEY.fullmatch(key):
        least = f"sb_secret_ and at least {MIN_SUPABASE_CHARACTERS} characters"
        raise ValueError(f"should be {least}, or a JWT whose role is service_role")
    return key


def supabase_publishable_key(key: str) -> str:
    """A key of Supabase that a browser may have. Raises ValueError."""
    key = plain_key(key)
    if key.startswith("sb_secret_") or role_of(key) not in (None, *PUBLIC_ROLES):
        raise ValueError("is a secret key; should be the publishable one (sb_publishable_…)")
    return key


def role_of(key: str) -> str | None:
    """The role of a key that is a JWT; None where it is none. Its signature is not looked at."""
    role = claims_of(key).get("role")
    return role if isinstance(role, str) and role else None


def claims_of(key: str) -> dict[str, Any]:
    """What a key that is a JWT says; nothing where it is none. Its signature is not looked at."""
    parts = key.split(".")
    if len(parts) != 3:
        return {}
    try:
        claims = json.loads(base64.urlsafe_b64decode(parts[1] + "=" * (-len(parts[1]) % 4)))
    except (ValueError, RecursionError):
        return {}
    return claims if isinstance(claims, dict) else {}


def webhook_secret(value: str) -> str:
    """A secret of the Standard Webhooks. Raises ValueError."""
    try:
        key = base64.b64decode(value.removeprefix(WEBHOOK_SECRET_PREFIX), validate=True)
    except ValueError:
        key = b""
    if not value.startswith(WEBHOOK_SECRET_PREFIX) or len(key) not in WEBHOOK_SECRET_BYTES:
        raise ValueError("should be whsec_ and 24 to 64 bytes in base64")
    return value
