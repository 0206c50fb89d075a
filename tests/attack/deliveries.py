"""What an attacker delivers: `python -m tests.attack.deliveries NAME PORT SECONDS COUNT KNOWN`.

KNOWN is what the attacker has, as JSON: `payment` (their own, as Toss shows it), `captured` (body and headers of a
genuine delivery), `key` (where somebody with the secret key makes trouble). It prints what it was answered.
"""

import asyncio
import datetime as dt
import itertools
import json
import random
import re
import sys
from collections.abc import Awaitable, Callable
from typing import Any
from urllib.parse import urlencode

from supatoss.toss.delivery import SIGNATURE_HEADER, TIME_HEADER
from supatoss.toss.signature import sign_hex
from tests.attack.honest import ADDRESS_HEADER
from tests.attack.server.floods import Connection, Flood
from tests.support import raw_body

ONE_ADDRESS = "198.51.100.7"
MOST_CANCELS = 1_200
"""Of one payment, in a signed body of the largest size that is read."""

_chance = random.Random(1)  # noqa: S311 - made-up names
_numbers = itertools.count()

Known = dict[str, Any]
Headers = dict[str, str]
Make = Callable[[Known], tuple[bytes, Headers]]


def forged(_known: Known) -> tuple[bytes, Headers]:
    """A payment that there is not."""
    name = f"forged-{_chance.randbytes(12).hex()}"
    data = {"paymentKey": name, "orderId": name, "status": "DONE", "totalAmount": 1000}
    return raw_body({"eventType": "PAYMENT_STATUS_CHANGED", "data": data}), {ADDRESS_HEADER: ONE_ADDRESS}


def forged_everywhere(known: Known) -> tuple[bytes, Headers]:
    """The same, each from another address."""
    return forged(known)[0], {ADDRESS_HEADER: f"198.18.{_chance.randrange(256)}.{_chance.randrange(256)}"}


def guesses(known: Known) -> tuple[bytes, Headers]:
    """Orders' numbers with made-up secrets."""
    order = known["payment"]["orderId"]
    secret = f"ps_{_chance.randbytes(12).hex()}"
    body = {"eventType": "DEPOSIT_CALLBACK", "secret": secret, "status": "DONE", "orderId": order}
    return raw_body({**body, "createdAt": _now()}), {ADDRESS_HEADER: ONE_ADDRESS}


def own_payment(known: Known) -> tuple[bytes, Headers]:
    """One genuine order, each time with something else in the body."""
    data = {**known["payment"], "junk": _chance.randbytes(64).hex()}
    body = {"eventType": "PAYMENT_STATUS_CHANGED", "createdAt": _now(), "data": data}
    return raw_body(body), {ADDRESS_HEADER: ONE_ADDRESS}


def huge_numbers(known: Known) -> tuple[bytes, Headers]:
    """One genuine order with numbers that PostgreSQL can store and not show."""
    raw, headers = own_payment(known)
    return raw.replace(b'"junk":', b'"x":[%s],"junk":' % b",".join([b"1e131071"] * 6000)), headers


def signed_huge_numbers(known: Known) -> tuple[bytes, Headers]:
    """The same by somebody who can sign."""
    return _signed(huge_numbers(known)[0], known)


def unknown_types(_known: Known) -> tuple[bytes, Headers]:
    """Types that nobody knows, 60 KiB each."""
    junk = _chance.randbytes(30 * 1024).hex()
    return raw_body({"eventType": f"X{_chance.randrange(10**9)}", "data": {"junk": junk}}), {}


def bad_signatures(_known: Known) -> tuple[bytes, Headers]:
    """Bodies of the largest size under a made-up signature."""
    return b'{"eventType":"X","data":"' + b"x" * (255 * 1024) + b'"}', {TIME_HEADER: _now(), SIGNATURE_HEADER: "0" * 64}


def replays(known: Known) -> tuple[bytes, Headers]:
    """One genuine signed delivery again and again."""
    return known["captured"]["body"].encode(), known["captured"]["headers"]


def events_of_one_order(known: Known) -> tuple[bytes, Headers]:
    """Signed events of one order, each different."""
    data = {"paymentKey": "evil", "orderId": "evil", "status": "DONE", "totalAmount": 10_000, "approvedAt": _now()}
    data["metadata"] = {"n": str(next(_numbers))}
    body = {"eventType": "PAYMENT_STATUS_CHANGED", "createdAt": _now(), "data": data}
    return _signed(raw_body(body), known)


def many_cancels(known: Known) -> tuple[bytes, Headers]:
    """Signed events of one order with 1,200 cancels each."""
    number = next(_numbers)
    at = "2026-03-14T09:00:00+09:00"
    cancels = [
        {
            "transactionKey": f"c{n:05d}",
            "cancelAmount": 1,
            "cancelStatus": "DONE",
            "canceledAt": at,
            "cancelReason": "r",
        }
        for n in range(MOST_CANCELS)
    ]
    data = {"paymentKey": "evil-cancels", "orderId": "evil-cancels", "status": "PARTIAL_CANCELED", "approvedAt": at}
    data |= {"totalAmount": 10_000, "balanceAmount": 8_000 - number, "cancels": cancels}  # type: ignore[dict-item]
    body = {"eventType": "PAYMENT_STATUS_CHANGED", "createdAt": _now(), "data": data}
    return _signed(raw_body(body), known)


MAKERS: dict[str, Make] = {
    make.__name__: make
    for make in (
        *(forged, forged_everywhere, guesses, own_payment, huge_numbers, signed_huge_numbers, unknown_types),
        *(bad_signatures, replays, events_of_one_order, many_cancels),
    )
}


async def deliver(flood: Flood, make: Make, known: Known) -> None:
    """Delivers on kept connections, each as fast as it is answered."""

    async def hold(connection: Connection) -> None:
        while True:
            raw, headers = make(known)
            await request(flood, connection, "/webhooks/toss", raw, headers)

    await flood.hold(hold)


async def wrong_passwords(flood: Flood, _known: Known) -> None:
    """Guesses at the operators' password, from twelve addresses in turn."""
    addresses = itertools.cycle(f"198.51.100.{number}" for number in range(12))

    async def hold(connection: Connection) -> None:
        head, page = await request(flood, connection, "/ops/sign-in", b"", {}, "GET")
        cookies = "; ".join(re.findall(r"set-cookie: ([^;\r]+)", head, re.IGNORECASE))
        tokens = re.findall(rb'name="csrf" value="([^"]+)"', page)
        while tokens:
            form = {"csrf": tokens[0].decode(), "username": "operator", "password": _chance.randbytes(8).hex()}
            headers = {ADDRESS_HEADER: next(addresses), "cookie": cookies, "origin": "http://127.0.0.1"}
            headers["content-type"] = "application/x-www-form-urlencoded"
            await request(flood, connection, "/ops/sign-in", urlencode(form).encode(), headers)

    await flood.hold(hold)


async def request(
    flood: Flood, connection: Connection, path: str, raw: bytes, headers: Headers, method: str = "POST"
) -> tuple[str, bytes]:
    """Head and body of the answer, which is counted. Raises EOFError where there is none."""
    reader, writer = connection
    lines = {"host": "127.0.0.1", "content-length": str(len(raw)), **headers}
    head = "".join(f"{name}: {value}\r\n" for name, value in lines.items())
    writer.write(f"{method} {path} HTTP/1.1\r\n{head}\r\n".encode() + raw)
    await writer.drain()
    answer = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
    flood.seen[f"answered {answer[9:12]}"] += 1
    length = re.search(r"content-length: (\d+)", answer, re.IGNORECASE)
    return answer, await reader.readexactly(int(length[1]) if length else 0)


def _signed(raw: bytes, known: Known) -> tuple[bytes, Headers]:
    sent_at = _now()
    return raw, {TIME_HEADER: sent_at, SIGNATURE_HEADER: sign_hex(raw, sent_at, known["key"])}


def _now() -> str:
    return dt.datetime.now(dt.timezone(dt.timedelta(hours=9))).isoformat(timespec="microseconds")


def main() -> None:
    """Attacks, and prints the counts as JSON."""
    name, port, seconds, count, known = sys.argv[1:]
    flood = Flood(int(port), float(seconds), int(count))
    attack: Awaitable[None]
    if name == "wrong_passwords":
        attack = wrong_passwords(flood, json.loads(known))
    else:
        attack = deliver(flood, MAKERS[name], json.loads(known))

    async def run() -> None:
        await attack

    asyncio.run(run())
    sys.stdout.write(json.dumps(flood.seen) + "\n")


if __name__ == "__main__":
    main()
