"""A request as it arrives: its header lines, the address that it comes from, and its body within limits."""

import asyncio
import ipaddress
from collections.abc import Sequence
from dataclasses import dataclass

from starlette.requests import ClientDisconnect
from starlette.types import Receive, Scope

from supatoss.errors import BodyTooLarge, BodyTooSlow, NotGenuine, Reason
from supatoss.toss.delivery import ID_HEADER, RETRIED_COUNT_HEADER, SIGNATURE_HEADER, TIME_HEADER, Delivery

BODY_SHARE_OF_DEADLINE = 0.5
"""Share of the deadline in which the body has to arrive; the rest is for the database."""

MAX_UNSIGNED_BODY_BYTES = 64 * 1024
"""Anybody can send one, and reading it costs 12 ms at worst. A payment of Toss with a hundred cancels is smaller."""

MAX_LENGTH_DIGITS = 18
"""Longest content-length that is parsed."""

MAX_HEADER_CHARACTERS = 200
"""Characters of a transmission id and of a user agent that are kept; Toss's ids have 34."""

MAX_RETRIED_COUNT = 10_000
"""Larger re-send counts are dropped; Toss stops at 7."""

PROBE_HEADER = "supatoss-probe"
"""Our own tools send it with deliveries that are to be refused. It changes how a refusal is counted, nothing else."""

_SIGNATURE = SIGNATURE_HEADER.encode()
_TIME = TIME_HEADER.encode()
_ID = ID_HEADER.encode()
_RETRIED_COUNT = RETRIED_COUNT_HEADER.encode()
_PROBE = PROBE_HEADER.encode()


class Head:
    """The header lines of a request, and where it comes from. Values are bytes: a signature covers one of them."""

    def __init__(self, scope: Scope) -> None:
        self._lines: Sequence[tuple[bytes, bytes]] = scope["headers"]
        self._client: tuple[str, int] | None = scope.get("client")
        self._values = dict(reversed(self._lines))  # of a name that comes several times, the first line

    @property
    def is_signed(self) -> bool:
        """Whether there is a signature, valid or not."""
        return _SIGNATURE in self._values

    @property
    def is_probe(self) -> bool:
        """Whether one of our own tools sent it."""
        return _PROBE in self._values

    @property
    def announces(self) -> int | None:
        """Bytes of the body by its content-length; None if there is none that can be read."""
        length = self._values.get(b"content-length", b"")
        if not length.isdigit():
            return None
        return int(length) if len(length) <= MAX_LENGTH_DIGITS else 10**MAX_LENGTH_DIGITS

    def address(self, header: str) -> str:
        """The sender's address, from a header if one is named; empty where it is missing, or there more than once."""
        if not header:
            return self._client[0] if self._client else ""
        told = self._all(header.lower().encode("latin-1"))
        return told[0].decode("latin-1") if len(told) == 1 else ""

    def delivery(self, body: bytes) -> Delivery:
        """The delivery as received."""
        values = self._values
        retried_count = values.get(_RETRIED_COUNT, b"")
        is_count = retried_count.isdigit() and len(retried_count) < len(str(MAX_RETRIED_COUNT))
        return Delivery(
            body=body,
            signature=b",".join(self._all(_SIGNATURE)) if _SIGNATURE in values else None,
            transmission_time=values.get(_TIME),
            transmission_id=_printable(values.get(_ID)),
            retried_count=int(retried_count) if is_count else None,
            user_agent=_printable(values.get(b"user-agent")),
        )

    def _all(self, name: bytes) -> list[bytes]:
        """The value of every line with this name."""
        if len(self._values) == len(self._lines):
            return [self._values[name]] if name in self._values else []
        return [value for other, value in self._lines if other == name]


def _printable(value: bytes | None) -> str | None:
    text = value.decode("latin-1")[:MAX_HEADER_CHARACTERS] if value else ""
    return text if text and text.isprintable() else None


@dataclass(frozen=True, slots=True)
class SourceFilter:
    """The addresses that may deliver. `header` is one that a trusted proxy sets, and a sender can't."""

    allowed: Sequence[ipaddress.IPv4Network | ipaddress.IPv6Network] = ()
    header: str = ""

    def check(self, head: Head) -> None:
        """Raises NotGenuine unless the sender's address is on the list; an empty list allows all."""
        if self.allowed and not self._is_allowed(self.address(head)):
            raise NotGenuine(Reason.SOURCE_NOT_ALLOWED)

    def _is_allowed(self, source_address: str) -> bool:
        try:
            address = ipaddress.ip_address(source_address)
        except ValueError:
            return False
        return any(address in network for network in self.allowed)

    def address(self, head: Head) -> str:
        """The sender's address; empty where it is not known."""
        return head.address(self.header)


async def read_bytes(receive: Receive, head: Head, max_bytes: int, seconds: float) -> bytes:
    """The body of a request that has `seconds` in all. Raises BodyTooLarge, BodyTooSlow or ClientDisconnect."""
    limit = max_bytes if head.is_signed else min(max_bytes, MAX_UNSIGNED_BODY_BYTES)
    announced = head.announces
    if announced is not None and announced > limit:
        raise _too_large(limit)
    first, is_complete = await _next_chunk(receive)
    if len(first) > limit:
        raise _too_large(limit)
    if is_complete:
        return first  # The usual case: only a body in several chunks needs its own time-out.
    body = bytearray(first)
    try:
        async with asyncio.timeout(seconds * BODY_SHARE_OF_DEADLINE):
            while not is_complete:
                chunk, is_complete = await _next_chunk(receive)
                body += chunk
                if len(body) > limit:
                    raise _too_large(limit)
    except TimeoutError:
        raise too_slow(seconds * BODY_SHARE_OF_DEADLINE) from None
    return bytes(body)


async def _next_chunk(receive: Receive) -> tuple[bytes, bool]:
    """The next chunk of the body, and whether it is the last."""
    message = await receive()
    if message["type"] == "http.disconnect":
        raise ClientDisconnect
    return message.get("body", b""), not message.get("more_body", False)


def _too_large(limit: int) -> BodyTooLarge:
    return BodyTooLarge(Reason.TOO_LARGE, f"The body is longer than {limit} bytes.")


def too_slow(seconds: float) -> BodyTooSlow:
    """The refusal of a body that did not arrive in time."""
    return BodyTooSlow(Reason.TOO_SLOW, f"The body did not arrive within {seconds:g} seconds.")
