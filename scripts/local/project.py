"""The Supabase project that a script works on, from the environment."""

import os
from urllib.parse import urlsplit

from supatoss.errors import ConfigurationError
from supatoss.settings import check_supabase_url
from supatoss.urls import is_loopback


def read_project() -> tuple[str, str, str | None]:
    """Address, secret key, and the host where that is not this machine. Raises ConfigurationError."""
    problems = [
        f"{name} is missing. `make run` writes it: . .local/env"
        for name in ("SUPABASE_URL", "SUPABASE_SECRET_KEY")
        if not os.environ.get(name, "").strip()
    ]
    if problems:
        raise ConfigurationError(problems)
    try:
        url = check_supabase_url(os.environ["SUPABASE_URL"])
    except ValueError as error:
        raise ConfigurationError([f"SUPABASE_URL {error}."]) from None
    host = urlsplit(url).hostname or ""
    return url, os.environ["SUPABASE_SECRET_KEY"].strip(), None if is_loopback(host) else host
