"""Supabase Lite: a project's Data API on this machine, without Docker and without an account."""

import fcntl
import hashlib
import os
import secrets
import signal
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import Self

import httpx

from scripts.local import npm
from scripts.local.children import LOOPBACK, Child, StackError

MIGRATIONS = npm.ROOT / "supabase" / "migrations"
MIGRATE_TIMEOUT_SECONDS = 120.0
READY_TIMEOUT_SECONDS = 60.0

# Lite reads supabase/config.toml below its working folder. env(NAME) keeps the keys out of the file.
_CONFIG = """\
project_id = "supatoss-local"

[api]
port = {port}
schemas = ["public"]

[db]
driver = "{driver}"
url = "{url}"

[auth]
jwt_secret = "env(SUPATOSS_JWT_SECRET)"
publishable_key = "env(SUPATOSS_PUBLISHABLE_KEY)"
secret_key = "env(SUPATOSS_SECRET_KEY)"
"""

SQL_EDITOR = "local_sql_editor"

# STABLE makes PostgreSQL refuse statements that write. Text, because Lite's numbers are JavaScript's and not exact;
# json and not jsonb, to keep the order of columns.
_SQL_EDITOR_DEFINITION = """
create or replace function public.local_sql_editor(statement text) returns text
language plpgsql stable set search_path = public, pg_temp as $$
declare
  rows text;
begin
  execute 'select coalesce(json_agg(r), ''[]'')::text from (' || statement || E'\\n) r' into rows;
  return rows;
end
$$;
revoke all on function public.local_sql_editor(text) from public, anon, authenticated;
grant execute on function public.local_sql_editor(text) to service_role;
"""

# For scripts/seed.py, whose deliveries arrive now and tell of a week. Without triggers: nobody is told again.
_BACKDATE_DEFINITION = """
create or replace function public.local_backdate(moments jsonb[]) returns integer
language plpgsql security definer set search_path = public, pg_temp set session_replication_role = replica as $$
declare
  moved integer;
begin
  update webhook_events w
  set created_at = m.at, waiting_since = m.at, transmission_time = m.at, last_delivered_at = m.last,
      processed_at = case when w.processed_at is not null then m.at + interval '40 milliseconds' end
  from (select (e ->> 'event')::uuid as id, (e ->> 'at')::timestamptz as at, (e ->> 'last')::timestamptz as last
        from unnest(moments) as u (e)) m
  where w.id = m.id;
  update payments p
  set created_at = least(p.created_at, s.first), updated_at = s.last
  from (select w.order_id, min(w.created_at) as first, max(w.created_at) as last from webhook_events w
        where w.order_id in (select n.order_id from webhook_events n
                             where n.id in (select (e ->> 'event')::uuid from unnest(moments) as u (e)))
        group by w.order_id) s
  where p.order_id = s.order_id;
  update supatoss.refused_deliveries r
  set received_at = m.at
  from (select e ->> 'refused' as mark, (e ->> 'at')::timestamptz as at from unnest(moments) as u (e)) m
  where r.body like '%' || m.mark || '%';
  get diagnostics moved = row_count;
  return moved;
end
$$;
revoke all on function public.local_backdate(jsonb[]) from public, anon, authenticated;
grant execute on function public.local_backdate(jsonb[]) to service_role;
"""


class LocalSupabase:
    """One Supabase Lite in its own folder.

    `database_url` None keeps the data in the folder (PGlite: PostgreSQL inside Lite's process); else Lite runs in front
    of that PostgreSQL server. `jwt_secret` signs the tokens of users (random unless given; 32 bytes or more).
    Use: `migrate()`, `start()`, `wait_ready()`, work, `stop()`; as a context manager it stops at the end.
    """

    def __init__(
        self,
        folder: Path,
        port: int,
        publishable_key: str,
        secret_key: str,
        database_url: str | None = None,
        migrations: Path = MIGRATIONS,
        jwt_secret: str | None = None,
    ) -> None:
        self.folder = folder
        self.port = port
        self.publishable_key = publishable_key
        self.secret_key = secret_key
        self.jwt_secret = jwt_secret or secrets.token_urlsafe(48)
        self.url = f"http://{LOOPBACK}:{port}"
        self.log = folder / "lite.log"
        self._database_url = database_url
        self._migrations = migrations
        self._server: Child | None = None
        self._claim: int | None = None

    def claim(self) -> None:
        """Reserve the folder until the last process that uses it ends. StackError if it is in use.

        Two programs that write the same PGlite data would destroy it. Lite inherits the claim, so it holds even if this
        process is killed before Lite.
        """
        if self._claim is not None:
            return
        self.folder.mkdir(parents=True, exist_ok=True)
        claim = os.open(self.folder / "claim", os.O_RDWR | os.O_CREAT, 0o600)
        try:
            fcntl.flock(claim, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            owner = os.read(claim, 32).decode(errors="replace").strip()
            os.close(claim)
            raise StackError(f"the local stack is already running: process {owner or '?'} uses {self.folder}") from None
        os.ftruncate(claim, 0)
        os.pwrite(claim, f"{os.getpid()}\n".encode(), 0)
        self._claim = claim

    def migrate(self) -> None:
        """Apply new migrations. Not while the server runs."""
        self._run("migrations", ["migration", "up"], "the migrations could not be applied")

    def execute(self, statement: str) -> None:
        """Run SQL in the database. Not while the server runs."""
        self._run("SQL", ["db", "query", statement], "the SQL could not be executed")

    def start(self) -> None:
        """Start the server; it answers when `wait_ready` returns."""
        if self._server is None:
            self._server = self._lite("Supabase Lite", ["start", "--no-admin"], self.log)

    def wait_ready(self, timeout_seconds: float = READY_TIMEOUT_SECONDS) -> None:
        """Wait until it answers a request with the secret key. StackError with the log's tail if it does not.

        One request at a time: concurrent first requests after a start can fail.
        """
        if self._server is None:
            raise StackError("Supabase Lite is not started")
        with httpx.Client(
            base_url=self.url, trust_env=False, timeout=5.0, headers={"apikey": self.secret_key}
        ) as client:
            self._server.wait_until(lambda: _answers(client), timeout_seconds)

    def restart(self) -> None:
        """Start the server again after it ended by itself; the folder stays reserved."""
        self.server.stop()  # whatever it left running
        self._server = None
        self.start()

    def stop(self) -> None:
        """Stop the server and release the folder. Safe to repeat."""
        self._end(Child.stop)

    def kill(self) -> None:
        """Kill the server with SIGKILL, like a crash. Safe to repeat."""
        self._end(Child.kill)

    @property
    def server(self) -> Child:
        """The running server. StackError if it is not running."""
        if self._server is None:
            raise StackError("Supabase Lite is not started")
        return self._server

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def _end(self, end: Callable[[Child], None]) -> None:
        if self._server is not None:
            end(self._server)
            self._server = None
        if self._claim is not None:
            os.close(self._claim)
            self._claim = None

    def _run(self, name: str, arguments: list[str], problem: str) -> None:
        if self._server is not None:
            raise StackError(f"stop Supabase Lite before {name}: only one program may use its data")
        self._lite(name, arguments, self.folder / "migrate.log").finish(MIGRATE_TIMEOUT_SECONDS, problem)

    def _lite(self, name: str, arguments: list[str], log: Path) -> Child:
        modules = npm.install()
        self.claim()
        self._write_project()
        assert self._claim is not None  # noqa: S101  (claim() has just set it)
        return Child(
            name,
            [npm.find_node().program, modules / "@supabase" / "lite" / "dist" / "cli" / "index.js", *arguments],
            cwd=self.folder,
            env={
                **os.environ,
                "HOME": str(self.folder / "home"),  # it makes ~/.lite
                "LITE_TELEMETRY": "0",
                "LITE_NON_INTERACTIVE": "1",
                "SUPATOSS_DATABASE_URL": self._database_url or "",
                "SUPATOSS_JWT_SECRET": self.jwt_secret,
                "SUPATOSS_PUBLISHABLE_KEY": self.publishable_key,
                "SUPATOSS_SECRET_KEY": self.secret_key,
            },
            log=log,
            stop_signal=signal.SIGTERM,
            keep_open=[self._claim],
        )

    def _write_project(self) -> None:
        project = self.folder / "supabase"
        project.mkdir(parents=True, exist_ok=True)
        (self.folder / "home").mkdir(exist_ok=True)
        driver, url = (
            ("postgres", "env(SUPATOSS_DATABASE_URL)") if self._database_url else ("pglite", "supabase/.temp/data")
        )
        (project / "config.toml").write_text(_CONFIG.format(port=self.port, driver=driver, url=url))
        link = project / "migrations"
        if link.is_symlink() and link.readlink() != self._migrations:
            link.unlink()
        if not link.is_symlink():
            link.symlink_to(self._migrations, target_is_directory=True)


def provide_helpers(supabase: LocalSupabase) -> None:
    """Defines the functions behind scripts/sql.py and scripts/seed.py, if new or changed. Not while the server runs."""
    mark = supabase.folder / "helpers"
    definitions = _SQL_EDITOR_DEFINITION + _BACKDATE_DEFINITION
    wanted = hashlib.sha256(definitions.encode()).hexdigest()
    if mark.exists() and mark.read_text() == wanted:
        return
    supabase.execute(definitions)
    mark.write_text(wanted)


def _answers(client: httpx.Client) -> bool:
    try:
        return client.get("/rest/v1/").is_success
    except httpx.TransportError:
        return False
