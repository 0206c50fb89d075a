"""The service under attack, as a process with the files of a small machine, and what is measured of it."""

import json
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import httpx

from scripts.local_stack import LOOPBACK, ROOT, free_port
from tests.faults.programs import Program
from tests.support import SECRET_KEY, raw_body, signed_headers

MAX_FILES = 1024
"""What many systems give a process."""

START = (
    "import resource, runpy, sys;"
    "resource.setrlimit(resource.RLIMIT_NOFILE, (int(sys.argv[1]),) * 2);"
    "sys.argv = ['supatoss', 'serve'];"
    "runpy.run_module('supatoss', run_name='__main__', alter_sys=True)"
)
_KIB_PER_MIB = 1024


@dataclass
class Seen:
    """What honest senders and probes saw while something else went on. Times in milliseconds."""

    statuses: list[int] = field(default_factory=list)
    deliveries: list[float] = field(default_factory=list)
    probes: list[float] = field(default_factory=list)
    memory_mib: list[float] = field(default_factory=list)

    @property
    def lost(self) -> int:
        """Deliveries that did not get 200; 0 stands for no answer at all."""
        return sum(status != httpx.codes.OK for status in self.statuses)

    def row(self) -> dict[str, float]:
        """The figures of a table."""
        return {
            "honest": len(self.statuses),
            "lost": self.lost,
            "p50": _quantile(self.deliveries, 0.5),
            "p99": _quantile(self.deliveries, 0.99),
            "stall": round(max(self.probes, default=0), 1),
            "memory": round(max(self.memory_mib, default=0), 1),
        }


class Target:
    """A running service with honest traffic on demand."""

    def __init__(self, program: Program, port: int) -> None:
        self.program = program
        self.port = port
        self.url = f"http://{LOOPBACK}:{port}"
        self._number = 0

    @property
    def pid(self) -> int:
        return self.program.child.pid

    def memory_mib(self) -> float:
        """Resident memory now."""
        return _status(self.pid, "VmRSS") / _KIB_PER_MIB

    def open_files(self) -> int:
        return len(list(Path(f"/proc/{self.pid}/fd").iterdir()))

    def deliver(self, http: httpx.Client) -> int:
        """One signed delivery of its own on a connection of its own; 0 where there is no answer."""
        self._number += 1
        raw = raw_body({"eventType": "SOMETHING_NEW", "createdAt": f"{time.time_ns()}", "data": {"n": self._number}})
        sent_at = time.strftime("%Y-%m-%dT%H:%M:%S+00:00", time.gmtime())
        headers = {**signed_headers(raw, sent_at=sent_at), "connection": "close"}
        try:
            return http.post(f"{self.url}/webhooks/toss", content=raw, headers=headers).status_code
        except httpx.HTTPError:
            return 0

    def metrics(self) -> str:
        """The text of /metrics."""
        token = {"authorization": "Bearer attack-attack-attack"}
        return httpx.get(f"{self.url}/metrics", headers=token, trust_env=False, timeout=10).text

    @contextmanager
    def watched(self) -> Iterator[Seen]:
        """Honest traffic and probes beside what is inside."""
        seen, over = Seen(), threading.Event()
        threads = [threading.Thread(target=self._send, args=(seen, over))]
        threads += [threading.Thread(target=self._probe, args=(seen, over))]
        for thread in threads:
            thread.start()
        try:
            yield seen
        finally:
            over.set()
            for thread in threads:
                thread.join()

    def flood(self, name: str, seconds: float, count: int = 1) -> dict[str, int]:
        """Runs one flood as a process of its own, and returns what it counted."""
        command = [sys.executable, "-m", "tests.attack.server.floods", name, str(self.port), str(seconds), str(count)]
        done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=seconds + 60, check=True)  # noqa: S603
        counts: dict[str, int] = json.loads(done.stdout)
        return counts

    def _send(self, seen: Seen, over: threading.Event) -> None:
        with httpx.Client(trust_env=False, timeout=10.0) as http:
            while not over.wait(0.05):
                started = time.perf_counter()
                seen.statuses.append(self.deliver(http))
                seen.deliveries.append((time.perf_counter() - started) * 1000)

    def _probe(self, seen: Seen, over: threading.Event) -> None:
        with httpx.Client(trust_env=False, timeout=30.0) as http:
            while not over.wait(0.02):
                started = time.perf_counter()
                try:
                    http.get(f"{self.url}/healthz")
                except httpx.HTTPError:
                    continue
                seen.probes.append((time.perf_counter() - started) * 1000)
                seen.memory_mib.append(self.memory_mib())


@contextmanager
def running_target(
    supabase_url: str, supabase_key: str, log: Path, more: Mapping[str, str], files: int = MAX_FILES, start: str = START
) -> Iterator[Target]:
    """The service until the end of the block. start: Python that serves, given the limit of open files."""
    port = free_port()
    env = {
        "HOST": LOOPBACK,
        "PORT": str(port),
        "SUPABASE_URL": supabase_url,
        "SUPABASE_SECRET_KEY": supabase_key,
        "TOSS_SECRET_KEY": SECRET_KEY,
        "TOSS_API_URL": f"http://{LOOPBACK}:{free_port()}",  # nobody answers there
        "METRICS_TOKEN": "attack-attack-attack",
        **more,
    }
    with Program("the service", ("-c", start, str(files)), env, log) as program:
        target = Target(program, port)
        program.child.wait_until(lambda: _answers(target.url), 30.0)
        yield target


def _answers(url: str) -> bool:
    try:
        return httpx.get(f"{url}/readyz", trust_env=False, timeout=5.0).status_code == httpx.codes.OK
    except httpx.TransportError:
        return False


def peak_memory_mib(pid: int) -> float:
    """Most resident memory that the process ever had."""
    return _status(pid, "VmHWM") / _KIB_PER_MIB


def _status(pid: int, name: str) -> int:
    for line in Path(f"/proc/{pid}/status").read_text(encoding="utf-8").splitlines():
        if line.startswith(f"{name}:"):
            return int(line.split()[1])
    raise ValueError(name)


def _quantile(values: list[float], share: float) -> float:
    ordered = sorted(values)
    return round(ordered[min(len(ordered) - 1, int(len(ordered) * share))], 1) if ordered else 0.0
