"""Settings from a `.env` file in the working directory, for commands. The service reads only the environment."""

import logging
import os
import socket
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from urllib.parse import urlsplit

from supatoss.cli.output import print_note

FILE = Path(".env")

_SUPABASE_KEYS = ("SUPABASE_SECRET_KEY", "SUPABASE_SERVICE_ROLE_KEY")

NAMES = (
    *("SUPABASE_URL", *_SUPABASE_KEYS, "SUPABASE_PUBLISHABLE_KEY", "SUPABASE_TIMEOUT_SECONDS", "SUPABASE_DB_URL"),
    *("TOSS_API_URL", "TOSS_SECRET_KEY", "TOSS_SECURITY_KEY", "TOSS_UNSIGNED", "TOSS_ALLOWED_IPS"),
    *("TOSS_TIMEOUT_SECONDS", "SIGNATURE_MAX_AGE_HOURS", "CLIENT_IP_HEADER", "UNSIGNED_LOOKUPS_PER_MINUTE"),
    *("PUBLIC_URL", "WEBHOOK_URL", "WORKER", "RECONCILE_AT", "PAYLOAD_RETENTION_DAYS", "BACKLOG_MINUTES"),
    *("ALERT_WEBHOOK_URL", "ALERT_WEBHOOK_SECRET", "ALERT_LANGUAGE", "ALERT_INTERVAL_SECONDS", "ALERT_SILENCE_HOURS"),
    *("OPS_USERS", "OPS_PASSWORD", "HOST", "PORT", "METRICS_PORT", "METRICS_TOKEN", "LOG_LEVEL", "LOG_FORMAT"),
    *("MAX_BODY_BYTES", "MAX_BODIES_BYTES", "MAX_CONNECTIONS", "ANSWER_DEADLINE_SECONDS"),
    "OTEL_EXPORTER_OTLP_ENDPOINT",
)
"""Every setting, and what only commands read. Other lines of the file belong to other programs."""

_SENT_TO: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {"SUPABASE_URL": _SUPABASE_KEYS, "TOSS_API_URL": ("TOSS_SECRET_KEY",)}
)
"""Keys and the address they are sent to. A key from the environment is never sent to an address from a file."""

SHOWN_NAMES = 3
LOCAL_SECONDS = 1.0

_ROOT = Path(__file__).resolve().parents[3]
CHECKOUT = _ROOT if (_ROOT / "scripts" / "dev.py").is_file() else None
"""The checkout that this module belongs to; None where it is installed from a wheel."""


def load_dotenv(*names: str) -> None:
    """Reads settings that the environment lacks from `.env`, and says so. `names`: other variables to read."""
    file = Path.cwd() / FILE
    wanted = [name for name in (*NAMES, *names) if name not in os.environ]
    if not wanted or not file.is_file():
        return
    values = _values(file)
    if _SUPABASE_KEYS[1] in os.environ:
        values.pop(_SUPABASE_KEYS[0], None)  # the older name of the same setting
    found = {name: value for name in wanted if (value := values.get(name))}
    for address, keys in _SENT_TO.items():
        own = next((key for key in keys if key in os.environ), None)
        if own and address in found:
            del found[address]
            print_note(f"{address} of {FILE} is ignored: it would receive {own}, which comes from the environment")
    if found:
        os.environ.update(found)
        first, more = list(found)[:SHOWN_NAMES], len(found) - SHOWN_NAMES
        print_note(f"using {', '.join(first)}{f' and {more} more' if more > 0 else ''} of {file}")


def load_local_stack() -> None:
    """Reads the settings of this checkout's running `make run`, unless the environment has a project or a Toss key.

    All or nothing: one project's address must never be used with another's key.
    """
    if CHECKOUT is None or any(name in os.environ for name in ("SUPABASE_URL", *_SUPABASE_KEYS, "TOSS_SECRET_KEY")):
        return
    file = CHECKOUT / ".local" / "env"
    found = {name: value for name, value in _values(file).items() if value} if file.is_file() else {}
    if _listens(found.get("SUPABASE_URL", "")):
        os.environ.update({name: value for name, value in found.items() if name not in os.environ})
        print_note(f"using the local stack of `make run`: {file}")


def _listens(url: str) -> bool:
    """Whether the local stack is running: its file stays after it stops."""
    address = urlsplit(url)
    try:
        with socket.create_connection((address.hostname or "", address.port or 0), LOCAL_SECONDS):
            return True
    except OSError:
        return False


def _values(file: Path) -> dict[str, str | None]:
    from dotenv import dotenv_values

    logging.getLogger("dotenv").addHandler(logging.NullHandler())  # lines that it can't read belong to other programs
    try:
        return dotenv_values(file, interpolate=False)
    except (OSError, UnicodeDecodeError) as error:
        print_note(f"can't read {file}: {error.strerror if isinstance(error, OSError) else 'it is not UTF-8'}")
        return {}
