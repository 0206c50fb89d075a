"""Toss's API for the benchmark of unsigned deliveries: shows payments after a fixed time, and counts the questions.

A stand-in, because a look-up costs `scripts/toss_emulator.py` fifteen times as much as this, on the receivers' cores.
"""

import argparse
import asyncio
import json
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import cast

PAYMENTS = "/v1/payments/"
QUESTIONS = "/questions"
"""How many payments were looked up since the last time that this was read."""

_NOT_FOUND = b'{"code":"NOT_FOUND_PAYMENT","message":"no such payment"}'


class Toss:
    """The payments by their keys, as whole answers."""

    def __init__(self, events: Path, seconds: float) -> None:
        self.seconds = seconds
        self.questions = 0
        self._missing = _answer("404 Not Found", _NOT_FOUND)
        self._answers: dict[str, bytes] = {}
        with events.open("rb") as lines:
            for line in lines:
                payment = json.loads(line)["data"]
                self._answers[payment["paymentKey"]] = _answer(
                    "200 OK", json.dumps(payment, ensure_ascii=False).encode()
                )

    def look_up(self, payment_key: str) -> bytes:
        """The answer about a payment."""
        self.questions += 1
        return self._answers.get(payment_key, self._missing)

    def take_count(self) -> bytes:
        """The answer with the number of questions."""
        count, self.questions = self.questions, 0
        return _answer("200 OK", str(count).encode())


class Connection(asyncio.Protocol):
    """One connection: GET requests one after the other, kept open."""

    def __init__(self, toss: Toss) -> None:
        self._toss = toss
        self._transport: asyncio.Transport
        self._received = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """It is open."""
        self._transport = cast("asyncio.Transport", transport)

    def data_received(self, data: bytes) -> None:
        """A request, or a part of one."""
        self._received += data
        while (end := self._received.find(b"\r\n\r\n")) >= 0:
            path = self._received.split(b" ", 2)[1].decode("ascii")
            self._received = self._received[end + 4 :]
            self._handle(path)

    def _handle(self, path: str) -> None:
        if not path.startswith(PAYMENTS):
            self._transport.write(self._toss.take_count())
            return
        answer = self._toss.look_up(path.removeprefix(PAYMENTS))
        if self._toss.seconds:
            asyncio.get_running_loop().call_later(self._toss.seconds, self._transport.write, answer)
        else:
            self._transport.write(answer)


def _answer(status: str, body: bytes) -> bytes:
    head = f"HTTP/1.1 {status}\r\ncontent-type: application/json;charset=UTF-8\r\ncontent-length: {len(body)}\r\n\r\n"
    return head.encode("ascii") + body


async def serve(toss: Toss, host: str, port: int) -> None:
    """Answers until the process ends."""
    server = await asyncio.get_running_loop().create_server(lambda: Connection(toss), host, port)
    await server.serve_forever()


def main(arguments: Sequence[str] | None = None) -> int:
    """Serves on HOST and PORT of the environment."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.peers.toss_stand_in", description=__doc__)
    parser.add_argument("events", type=Path, help="the last event of a payment on each line")
    parser.add_argument("--milliseconds", type=float, default=0.0, help="from a question to its answer")
    options = parser.parse_args(arguments)
    toss = Toss(options.events, options.milliseconds / 1000)
    asyncio.run(serve(toss, os.environ["HOST"], int(os.environ["PORT"])))
    return 0


if __name__ == "__main__":
    sys.exit(main())
