"""Where a Supabase project is and with which keys, for what needs no other setting. Starts without pydantic."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any, Self

from supatoss import key_shapes
from supatoss.errors import ConfigurationError
from supatoss.urls import check_url

MAX_TIMEOUT_SECONDS = 10.0
DEFAULT_TIMEOUT_SECONDS = 3.0

HINTS: Mapping[str, str] = MappingProxyType(
    {
        "SUPABASE_URL": "the address of the Supabase project, https://<project-ref>.supabase.co",
        "SUPABASE_SECRET_KEY": "the secret key of the Supabase project (sb_secret_…)",
        "TOSS_SECRET_KEY": "the secret key of Toss (test_sk_… or live_sk_…)",
    }
)
"""What a setting without a default should be."""


def missing(name: str) -> str:
    """The line about a setting that is not there."""
    return f"{name} is missing; it should be {HINTS.get(name, 'set')}."


def check_supabase_url(value: str) -> str:
    """The URL of a Supabase project without a trailing slash. Raises ValueError with what it should be."""
    return check_url(value, "https://<project-ref>.supabase.co")


@dataclass(frozen=True, slots=True)
class DataApi:
    """The Data API of a project, as the settings of these names say."""

    supabase_url: str
    supabase_secret_key: str = field(repr=False)
    supabase_publishable_key: str | None = field(default=None, repr=False)
    supabase_timeout_seconds: float = DEFAULT_TIMEOUT_SECONDS

    @classmethod
    def read(cls, environment: Mapping[str, str]) -> Self:
        """From variables, as Settings reads them. Raises ConfigurationError with one line per problem."""
        known = {name.upper(): value.strip() for name, value in environment.items()}
        known["SUPABASE_SECRET_KEY"] = known.get("SUPABASE_SECRET_KEY") or known.get("SUPABASE_SERVICE_ROLE_KEY", "")
        problems: list[str] = []
        values: dict[str, Any] = {}
        for name, check in _CHECKS.items():
            if text := known.get(name):
                try:
                    values[name.lower()] = check(text)
                except ValueError as error:
                    problems.append(f"{name} {error}.")
            elif name in HINTS:
                problems.append(missing(name))
        if problems:
            raise ConfigurationError(problems)
        return cls(**values)


def _timeout(text: str) -> float:
    try:
        seconds = float(text)
    except ValueError:
        seconds = 0.0
    if not 0 < seconds < MAX_TIMEOUT_SECONDS:
        raise ValueError(f"should be a number of seconds, more than 0 and less than {MAX_TIMEOUT_SECONDS:g}")
    return seconds


_CHECKS: Mapping[str, Callable[[str], object]] = MappingProxyType(
    {
        "SUPABASE_URL": check_supabase_url,
        "SUPABASE_SECRET_KEY": key_shapes.supabase_secret_key,
        "SUPABASE_PUBLISHABLE_KEY": key_shapes.supabase_publishable_key,
        "SUPABASE_TIMEOUT_SECONDS": _timeout,
    }
)
