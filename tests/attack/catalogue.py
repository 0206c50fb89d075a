"""Every attack that is a load or a forgery, by the part of docs/security.md that it belongs to."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Attack:
    """One attack. toss_seconds: how long Toss takes for each call, at rest too."""

    name: str
    part: str
    about: str
    connections: int
    is_flood: bool = False
    toss_seconds: float = 0.0


ATTACKS = (
    Attack("forged", "deliveries", "forged payments from one address, Toss takes 0.5 s", 60, toss_seconds=0.5),
    Attack("forged_everywhere", "deliveries", "forged payments, each from another address", 60, toss_seconds=0.5),
    Attack("guesses", "deliveries", "an order id with made-up secrets", 20),
    Attack("own_payment", "deliveries", "own genuine payment, another body each time", 20),
    Attack("huge_numbers", "JSON", "own payment with 6,000 × 1e131071", 4),
    Attack("signed_huge_numbers", "JSON", "the same, signed", 4),
    Attack("unknown_types", "rows", "unknown types of 60 KiB, no signature", 8),
    Attack("events_of_one_order", "rows", "signed events of one order without end", 4),
    Attack("many_cancels", "rows", "signed events with 1,200 cancels each", 2),
    Attack("bad_signatures", "signatures", "255 KiB under made-up signatures", 8),
    Attack("replays", "signatures", "a captured signed delivery without end", 20),
    Attack("wrong_passwords", "/ops", "wrong passwords from 12 addresses", 12),
    Attack("idle", "server", "idle connections", 1100, is_flood=True),
    Attack("endless_heads", "server", "heads that never end", 1100, is_flood=True),
    Attack("many_lines", "server", "150 MB of header lines", 1, is_flood=True),
    Attack("long_line", "server", "a header line of 150 MB", 1, is_flood=True),
    Attack("long_target", "server", "a request line of 150 MB", 1, is_flood=True),
    Attack("trailers", "server", "a trailer of 150 MB", 1, is_flood=True),
    Attack("chunk_extensions", "server", "chunk extensions of 150 MB", 4, is_flood=True),
    Attack("stalled_bodies", "server", "bodies of 200 KiB that stall", 2600, is_flood=True),
    Attack("signed_stalled_bodies", "server", "the same under a made-up signature", 2600, is_flood=True),
    Attack("large_bodies", "server", "bodies that cost most to read", 8, is_flood=True),
    Attack("pipelined", "server", "thousands of requests in one piece, answers unread", 50, is_flood=True),
    Attack("bodies_elsewhere", "server", "bodies without end to other paths", 4, is_flood=True),
    Attack("websockets", "server", "WebSocket handshakes", 20, is_flood=True),
)
