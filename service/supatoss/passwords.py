"""Operators' passwords as they are kept in OPS_USERS: scrypt, one line a person, made by `supatoss ops add-user`."""

import base64
import hashlib
import hmac
import re
import secrets
import unicodedata
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Self

MIN_PASSWORD_CHARACTERS = 12
"""At 720 guesses an hour, even a plain phrase of this length holds."""

_LOG_N, _R, _P = 14, 8, 5
"""16 MiB and about 0.2 s of CPU: OWASP's choice for little memory, as a machine of Fly.io has 256 MiB."""

_SCHEME = f"scrypt:{_LOG_N}:{_R}:{_P}"
_SALT_BYTES, _DIGEST_BYTES = 16, 32
_MAX_MEMORY = 2 * 128 * _R * 2**_LOG_N

_NAME = re.compile(r"[\w.-]{1,40}")


@dataclass(frozen=True, slots=True)
class PasswordHash:
    """The hash of a password. As text it has no character that a shell, a list or a .env file would change."""

    salt: bytes = field(repr=False)
    digest: bytes = field(repr=False)

    @classmethod
    def of(cls, password: str) -> Self:
        """Hashes a password. Takes a fifth of a second."""
        salt = secrets.token_bytes(_SALT_BYTES)
        return cls(salt, _scrypt(password, salt))

    @classmethod
    def read(cls, text: str) -> Self:
        """Reads the text of a hash. Raises ValueError."""
        scheme, salt, digest = text.rsplit(":", 2)
        found = cls(_bytes(salt), _bytes(digest))
        if scheme != _SCHEME or (len(found.salt), len(found.digest)) != (_SALT_BYTES, _DIGEST_BYTES):
            raise ValueError("another kind of hash")
        return found

    def matches(self, password: str) -> bool:
        """Whether this is the password, in constant time. Takes a fifth of a second."""
        return hmac.compare_digest(_scrypt(password, self.salt), self.digest)

    def __str__(self) -> str:
        return ":".join((_SCHEME, *(_text(part) for part in (self.salt, self.digest))))


@dataclass(frozen=True, slots=True)
class User:
    """A named operator."""

    name: str
    password: PasswordHash

    @classmethod
    def read(cls, line: str) -> Self:
        """Reads `name:scrypt:…`. Raises ValueError with what was expected; it never shows the hash."""
        name, _, text = line.partition(":")
        try:
            return cls(check_name(name), PasswordHash.read(text))
        except ValueError:
            raise ValueError(
                "should be lines of `supatoss ops add-user NAME` with commas between, such as anna:scrypt:…"
            ) from None

    def __str__(self) -> str:
        return f"{self.name}:{self.password}"


def read_users(lines: Iterable[str]) -> list[User]:
    """The operators of OPS_USERS. Raises ValueError with what was expected."""
    users = [User.read(line) for line in lines]
    if len({fold_name(user.name) for user in users}) < len(users):
        raise ValueError("has a name twice")
    return users


def check_name(name: str) -> str:
    """A name for an operator. Raises ValueError with what it should be."""
    name = unicodedata.normalize("NFC", name.strip())
    if not _NAME.fullmatch(name):
        raise ValueError("a name has 1 to 40 letters, digits, dots, hyphens and underscores")
    return name


def fold_name(name: str) -> str:
    """A name as it is looked up: a phone begins it with a capital, and writes Korean in another form."""
    return unicodedata.normalize("NFC", name.strip()).casefold()


def _scrypt(password: str, salt: bytes) -> bytes:
    return hashlib.scrypt(
        # What another keyboard sends for the same characters is the same password.
        unicodedata.normalize("NFC", password).encode(),
        salt=salt,
        n=2**_LOG_N,
        r=_R,
        p=_P,
        maxmem=_MAX_MEMORY,
        dklen=_DIGEST_BYTES,
    )


def _text(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).decode().rstrip("=")


def _bytes(text: str) -> bytes:
    return base64.b64decode(text + "=" * (-len(text) % 4), altchars=b"-_", validate=True)
