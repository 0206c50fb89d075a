"""The keys of the local stack: random, made once, kept in a file that only its owner reads."""

import contextlib
import json
import os
import secrets
from dataclasses import asdict, dataclass
from pathlib import Path

from scripts.local.children import StackError


@dataclass(frozen=True)
class LocalKeys:
    """Keys that open nothing but this machine's stack."""

    publishable_key: str
    secret_key: str
    jwt_secret: str
    toss_secret_key: str
    toss_security_key: str
    ops_password: str


def load_keys(path: Path) -> LocalKeys:
    """The keys in the file; makes the file when there is none. StackError when it is damaged."""
    if not path.exists():
        write_private(path, json.dumps(asdict(_new_keys()), indent=2) + "\n", replace=False)
    try:
        keys = json.loads(path.read_text())
        if keys and "ops_password" not in keys:  # the file is older than the operators' page
            keys["ops_password"] = _new_keys().ops_password
            write_private(path, json.dumps(keys, indent=2) + "\n")
        return LocalKeys(**keys)
    except (TypeError, ValueError):
        raise StackError(f"{path} is damaged: delete it, and the next start makes new keys") from None


def write_private(path: Path, text: str, *, replace: bool = True) -> None:
    """Write a file that only its owner reads, whole or not at all; without `replace`, an existing one wins."""
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
