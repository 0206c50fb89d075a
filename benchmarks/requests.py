"""HTTP requests as bytes, prepared before measuring, in a file that the driver maps into memory."""

import mmap
import struct
from array import array
from collections.abc import Iterable, Mapping
from pathlib import Path

from benchmarks.workload import SECRET_KEY, Sending
from supatoss.toss.delivery import RETRIED_COUNT_HEADER, SIGNATURE_HEADER, TIME_HEADER
from supatoss.toss.signature import sign_hex

WEBHOOK_PATH = "/functions/v1/webhook"
_LENGTH = struct.Struct("<I")


def render(path: str, body: bytes, headers: Mapping[str, str]) -> bytes:
    """One POST of JSON over keep-alive."""
    lines = [
        f"POST {path} HTTP/1.1",
        "host: 127.0.0.1",
        "content-type: application/json; charset=utf-8",
        f"content-length: {len(body)}",
        *(f"{name}: {value}" for name, value in headers.items()),
    ]
    return "\r\n".join([*lines, "", ""]).encode("ascii") + body


def toss_request(sending: Sending) -> bytes:
    """A delivery in the guide's form: signed with the secret key, as hex."""
    headers = {
        TIME_HEADER: sending.transmission_time,
        RETRIED_COUNT_HEADER: str(sending.retried_count),
        SIGNATURE_HEADER: sign_hex(sending.body, sending.transmission_time, SECRET_KEY),
    }
    return render(WEBHOOK_PATH, sending.body, headers)


def write_requests(file: Path, requests: Iterable[bytes]) -> int:
    """Writes length-prefixed requests; returns how many."""
    count = 0
    with file.open("wb") as out:
        for request in requests:
            out.write(_LENGTH.pack(len(request)))
            out.write(request)
            count += 1
    return count


class Requests:
    """The requests of a file, by position. It is mapped, so it does not count as this process's own memory."""

    def __init__(self, file: Path) -> None:
        with file.open("rb") as opened:
            self._bytes = mmap.mmap(opened.fileno(), 0, access=mmap.ACCESS_READ)
        self._starts = array("Q")
        self._ends = array("Q")
        place = 0
        while place < len(self._bytes):
            (length,) = _LENGTH.unpack_from(self._bytes, place)
            self._starts.append(place + _LENGTH.size)
            place += _LENGTH.size + length
            self._ends.append(place)

    def __len__(self) -> int:
        return len(self._starts)

    def __getitem__(self, index: int) -> bytes:
        return self._bytes[self._starts[index] : self._ends[index]]
