"""A person or a script with `supatoss init`: a Supabase project, Toss, and programs that stand in for fly and npx."""

import fcntl
import json
import os
import pty
import re
import select
import subprocess
import sys
import termios
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import httpx
import psycopg
import pytest

from scripts.local_stack import LOOPBACK, ROOT, Child, LocalPostgres, LocalSupabase, free_port, is_taken
from tests.processes import READY_SECONDS, running_service
from tests.support import SECRET_KEY, SECURITY_KEY

SUPABASE_KEY = "sb_secret_for_init_000001"
PUBLISHABLE_KEY = "sb_publishable_for_init_000001"
APP = "shop-hooks"
RUN_SECONDS = 60.0
STAND_INS = Path(__file__).parent / "stand_ins.py"


@dataclass
class Place:
    """A merchant's repository, with the folder of stand-ins on PATH, and what these were told."""

    root: Path
    postgres: LocalPostgres
    lite: LocalSupabase
    toss_url: str
    service_port: int
    dsn: str
    changes: dict[str, str | None] = field(default_factory=dict)

    @property
    def service_url(self) -> str:
        return f"http://{LOOPBACK}:{self.service_port}"

    @property
    def env_file(self) -> Path:
        return self.root / ".env"

    def environment(self, *, with_answers: bool) -> dict[str, str]:
        """Nothing of this machine but PATH and HOME, with the answers if a script runs it."""
        answers = {
            "SUPABASE_URL": self.lite.url,
            "SUPABASE_SECRET_KEY": SUPABASE_KEY,
            "SUPABASE_DB_URL": self.dsn,
            "TOSS_SECRET_KEY": SECRET_KEY,
            "PUBLIC_URL": self.service_url,
        }
        found: dict[str, str | None] = {
            "PATH": f"{self.root.parent / 'bin'}:{os.environ['PATH']}",
            "HOME": str(self.root.parent),
            "TERM": "dumb",
            "PYTHONPATH": str(ROOT / "service"),
            "STAND_INS": str(self.root.parent),
            "TOSS_API_URL": self.toss_url,
            "GIT_CONFIG_GLOBAL": "/dev/null",
            **(answers if with_answers else {}),
            **self.changes,
        }
        return {name: value for name, value in found.items() if value is not None}

    def administer(self, statement: str) -> None:
        """Runs SQL as the database's owner."""
        with psycopg.connect(self.dsn, autocommit=True) as connection:
            connection.execute(statement.encode())

    def calls(self) -> list[dict[str, Any]]:
        """What fly and npx were called with, oldest first."""
        log = self.root.parent / "calls.jsonl"
        return [json.loads(line) for line in log.read_text().splitlines()] if log.exists() else []

    def script(self, *arguments: str, typed: str | None = None) -> subprocess.CompletedProcess[str]:
        """`supatoss init --yes`, or as told, without a terminal."""
        return subprocess.run(  # noqa: S603 - our own program
            [sys.executable, "-m", "supatoss", "init", *arguments],
            cwd=self.root,
            env=self.environment(with_answers=True),
            input=typed,
            stdin=subprocess.DEVNULL if typed is None else None,
            capture_output=True,
            text=True,
            timeout=RUN_SECONDS,
            check=False,
        )

    @contextmanager
    def world(self) -> Iterator[None]:
        """What the stand-ins start: a push reaches the Data API, and a deployment serves."""
        stop = threading.Event()
        with ExitStack() as stack:
            thread = threading.Thread(target=self._follow, args=(stop, stack))
            thread.start()
            try:
                yield
            finally:
                stop.set()
                thread.join()

    def _follow(self, stop: threading.Event, stack: ExitStack) -> None:
        folder = self.root.parent
        while not stop.wait(0.05):
            if (folder / "pushing").exists():
                self.lite.restart()  # it reads the schema once, where the Data API of a project is told of changes
                self.lite.wait_ready()
                (folder / "pushing").unlink()
            if (folder / "deploying").exists():
                secrets = dict(line.split("=", 1) for line in (folder / "secrets").read_text().splitlines())
                settings = {**secrets, "TOSS_API_URL": self.toss_url}
                stack.enter_context(running_service(settings, folder / "service.log", self.service_port))
                (folder / "deploying").unlink()


class Terminal:
    """A person at a terminal: waits for a text on the screen, and types."""

    def __init__(self, place: Place, *arguments: str) -> None:
        self.screen = ""
        self._seen = 0
        self._parent, child = pty.openpty()
        self._process = subprocess.Popen(  # noqa: S603 - our own program
            [sys.executable, "-m", "supatoss", "init", *arguments],
            cwd=place.root,
            env=place.environment(with_answers=False),
            stdin=child,
            stdout=child,
            stderr=child,
            start_new_session=True,
            preexec_fn=_take_terminal,  # noqa: PLW1509 - one system call
        )
        os.close(child)

    def until(self, text: str) -> None:
        """Until it stands on the screen, after what was waited for before."""
        deadline = time.monotonic() + RUN_SECONDS
        while text not in self.screen[self._seen :]:
            if time.monotonic() > deadline or not self._read():
                raise AssertionError(f"{text!r} is not on the screen:\n{self.screen}")
        self._seen = self.screen.index(text, self._seen) + len(text)

    def answer(self, question: str, text: str) -> None:
        """Types when the question stands there to its end: what comes before is thrown away with the echo."""
        self.until(question)
        self.until(": ")
        os.write(self._parent, f"{text}\n".encode())

    def press_ctrl_c(self) -> None:
        os.write(self._parent, b"\x03")

    def end(self) -> int:
        """Its exit status, when it has ended."""
        with suppress(OSError):
            while self._read():
                pass
        return self._process.wait(RUN_SECONDS)

    def close(self) -> None:
        if self._process.poll() is None:
            self._process.kill()
            self._process.wait()
        os.close(self._parent)

    def _read(self) -> bool:
        ready, _, _ = select.select([self._parent], [], [], RUN_SECONDS)
        try:
            found = os.read(self._parent, 65536) if ready else b""
        except OSError:  # the other side is closed
            found = b""
        self.screen += found.decode(errors="replace").replace("\r\n", "\n")
        return bool(found)


def _take_terminal() -> None:
    fcntl.ioctl(0, termios.TIOCSCTTY, 0)


@pytest.fixture(scope="session")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[LocalPostgres, str]]:
    """A database server, and Toss."""
    port = free_port()
    emulator = Child(
        "the Toss emulator",
        [
            *(sys.executable, "-m", "scripts.toss_emulator", "--port", str(port), "--seed", "1"),
            *("--secret-key", SECRET_KEY, "--security-key", SECURITY_KEY),
        ],
        cwd=ROOT,
        env={"PATH": os.environ["PATH"]},
        log=tmp_path_factory.mktemp("emulator") / "emulator.log",
    )
    try:
        with LocalPostgres() as server:
            emulator.wait_until(lambda: is_taken(port), READY_SECONDS)
            yield server, f"http://{LOOPBACK}:{port}"
    finally:
        emulator.stop()


@pytest.fixture
def place(stack: tuple[LocalPostgres, str], tmp_path: Path) -> Iterator[Place]:
    """An empty project, and a repository without migrations."""
    with _project(stack, tmp_path, re.sub(r"\W", "_", tmp_path.name)) as place:
        yield place


@pytest.fixture(scope="session")
def _unused(stack: tuple[LocalPostgres, str], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    with _project(stack, tmp_path_factory.mktemp("unused"), "unused") as place:
        yield place


@pytest.fixture
def empty_place(_unused: Place, tmp_path: Path) -> Place:
    """A repository of its own, before a project that stays empty."""
    return replace(_unused, root=_repository(tmp_path), changes={})


@contextmanager
def _project(stack: tuple[LocalPostgres, str], folder: Path, name: str) -> Iterator[Place]:
    server, toss_url = stack
    dsn = server.create_database(name)
    (folder / "none").mkdir()
    with LocalSupabase(folder / "lite", free_port(), PUBLISHABLE_KEY, SUPABASE_KEY, dsn, folder / "none") as lite:
        lite.start()
        lite.wait_ready()
        yield Place(_repository(folder), server, lite, toss_url, free_port(), dsn)
    server.drop_database(name)


def _repository(folder: Path) -> Path:
    """The folder of a repository, beside the programs that stand in."""
    bin_folder, root = folder / "bin", folder / "shop"
    bin_folder.mkdir()
    for program in ("fly", "npx"):
        (bin_folder / program).write_text(f'#!/bin/sh\nexec {sys.executable} {STAND_INS} {program} "$@"\n')
        (bin_folder / program).chmod(0o755)
    (root / "supabase").mkdir(parents=True)
    (root / "supabase/config.toml").write_text('project_id = "shop"\n')
    return root


@pytest.fixture
def http() -> Iterator[httpx.Client]:
    with httpx.Client(trust_env=False, timeout=10.0) as client:
        yield client
