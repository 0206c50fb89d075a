"""The keys of the local stack, and the address and key of the project that a script works on."""

import contextlib
import json
import os
import secrets
from dataclasses import asdict, dataclass
from pathlib import Path
from urllib.parse import urlsplit

from scripts.local.children import StackError
from supatoss.cli.dotenv import load_local_stack
from supatoss.data_api import check_supabase_url
from supatoss.errors import ConfigurationError
from supatoss.urls import is_loopback


@dataclass(frozen=True)
class LocalKeys:
    """Random keys, valid for this machine's stack only."""

    publishable_key: str
    secret_key: str
    jwt_secret: str
    toss_secret_key: str
    toss_security_key: str
    ops_password: str


def load_keys(path: Path) -> LocalKeys:
    """The keys in the file, which is created if missing. StackError if it is damaged."""
    if not path.exists():
        write_private(path, json.dumps(asdict(_new_keys()), indent=2) + "\n", replace=False)
    try:
        keys = json.loads(path.read_text())
        if keys and "ops_password" not in keys:  # written before the operators' page existed
            keys["ops_password"] = _new_keys().ops_password
            write_private(path, json.dumps(keys, indent=2) + "\n")
        return LocalKeys(**keys)
    except (TypeError, ValueError):
        raise StackError(f"{path} is damaged: delete it, and the next start creates new keys") from None


def write_private(path: Path, text: str, *, replace: bool = True) -> None:
    """Write a file atomically, readable by its owner only. Without `replace`, an existing file stays."""
    path.parent.mkdir(parents=True, exist_ok=True)
    draft = path.with_name(f"{path.name}.{os.getpid()}")
    draft.unlink(missing_ok=True)
    with os.fdopen(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w", encoding="utf-8") as file:
        file.write(text)
    if replace:
        draft.replace(path)
    else:
        with contextlib.suppress(FileExistsError):
            path.hardlink_to(draft)
        draft.unlink()


def _new_keys() -> LocalKeys:
    return LocalKeys(
        publishable_key=f"sb_publishable_{secrets.token_hex(16)}",
        secret_key=f"sb_secret_{secrets.token_hex(16)}",
        jwt_secret=secrets.token_urlsafe(48),
        toss_secret_key=f"test_sk_{secrets.token_hex(16)}",
        toss_security_key=secrets.token_hex(32),
        ops_password=secrets.token_urlsafe(12),
    )


def read_project() -> tuple[str, str, str | None]:
    """Address, secret key, and the host unless it is this machine. Raises ConfigurationError.

    From the environment, else those of the running `make run`.
    """
    load_local_stack()
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
