"""Secrets that appear nowhere else, and looking for them, or for a piece of them, in what was written."""

import base64
import hashlib
import html
from collections.abc import Iterator, Mapping
from urllib.parse import quote

PIECE_CHARACTERS = 12
"""Shorter pieces of a key are no use to anybody, and Toss's prefixes (test_sk_) are no secret."""

AROUND_CHARACTERS = 120


def distinct(name: str, characters: int = 40) -> str:
    """Letters and digits that no other text has, the same in every run."""
    digest = hashlib.sha512(f"canary of {name}".encode()).digest()
    return base64.b32encode(digest).decode().rstrip("=").lower()[:characters]


def spellings(secret: str) -> Iterator[str]:
    """A secret as it could have been written."""
    yield secret
    yield quote(secret, safe="")
    yield html.escape(secret)
    yield secret.encode().hex()
    for before in (b"", b"?", b"??"):  # base64 has three alignments
        encoded = base64.b64encode(before + secret.encode())
        yield encoded[4:-4].decode()


class Canaries:
    """Secrets by name, which are looked for by all their pieces."""

    def __init__(self, secrets: Mapping[str, str]) -> None:
        self._names: dict[str, str] = {}
        for name, secret in secrets.items():
            self.add(name, secret)

    def add(self, name: str, secret: str) -> None:
        """One more secret, such as one that Toss has made."""
        assert len(secret) >= PIECE_CHARACTERS
        for text in spellings(secret):
            for start in range(len(text) - PIECE_CHARACTERS + 1):
                self._names.setdefault(text[start : start + PIECE_CHARACTERS], name)

    def found_in(self, text: str) -> set[str]:
        """Names of the secrets of which a piece is in a text."""
        return set(self.places(text))

    def places(self, text: str) -> dict[str, str]:
        """Names of the secrets of which a piece is in a text, each with what surrounds the first one."""
        found: dict[str, str] = {}
        for start in range(len(text) - PIECE_CHARACTERS + 1):
            name = self._names.get(text[start : start + PIECE_CHARACTERS])
            if name is not None and name not in found:
                found[name] = text[max(0, start - AROUND_CHARACTERS) : start + AROUND_CHARACTERS]
        return found
