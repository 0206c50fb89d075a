"""Who may sign in, and how a password is checked."""

import asyncio
import hashlib
import hmac
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Self

from supatoss.passwords import PasswordHash, fold_name, read_users
from supatoss.settings import Settings

SHARED_NAME = "operator"
"""Whoever knows OPS_PASSWORD."""

_STRANGER = PasswordHash(bytes(16), bytes(32))
"""Matches no password. Checking against it takes as long for an unknown name as for a known one."""

_thread = ThreadPoolExecutor(1, "password")
"""A check takes a fifth of a second of CPU and 16 MiB: one at a time, in a thread, so that deliveries go on."""


class Operators:
    """The people of OPS_USERS; without them, one shared password."""

    def __init__(self, users: Mapping[str, PasswordHash], shared_password: str = "") -> None:
        self._users = dict(users)
        self._names = {fold_name(name): name for name in users}
        self._shared_password = shared_password

    @classmethod
    def of(cls, settings: Settings) -> Self:
        """Those of the settings."""
        users = read_users(line.get_secret_value() for line in settings.ops_users)
        password = settings.ops_password.get_secret_value() if settings.ops_password else ""
        return cls({user.name: user.password for user in users}, password)

    @property
    def are_named(self) -> bool:
        """Whether each has a name and a password of their own."""
        return bool(self._users)

    def find(self, typed: str) -> str | None:
        """The operator's name, None where there is nobody of that name."""
        return self._names.get(fold_name(typed)) if self.are_named else SHARED_NAME

    def credential(self, name: str) -> str | None:
        """What a session of this operator depends on: it ends with another password, or without the name."""
        if self.are_named:
            password = self._users.get(name)
            return str(password) if password else None
        return self._shared_password if name == SHARED_NAME else None

    async def check(self, name: str | None, password: str) -> bool:
        """Whether this is the operator's password, in constant time, whether or not there is such an operator."""
        if not self.are_named:
            return hmac.compare_digest(_digest(password), _digest(self._shared_password))
        expected = self._users.get(name or "", _STRANGER)
        return await asyncio.get_running_loop().run_in_executor(_thread, expected.matches, password)


def _digest(text: str) -> bytes:
    return hashlib.sha256(text.encode()).digest()
