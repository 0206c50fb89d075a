"""Starting a Supabase project and the service as processes, and waiting until they can be used."""

import fcntl
import hashlib
import os
import shutil
import sys
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path

import httpx

from scripts.local_stack import LOOPBACK, MIGRATIONS, ROOT, STATE, Child, LocalPostgres, LocalSupabase, free_port

READY_SECONDS = 30.0

PEEKS = "".join(
    f"create view public.peek_{table} with (security_invoker = true) as select * from supatoss.{table};\n"
    for table in (
        *("operator_actions", "operator_sessions", "operator_batches", "alerts", "processes", "reconciliations"),
        *("reconciliation_findings", "reconciliation_transactions", "refused_deliveries"),
    )
)
"""The Data API exposes the schema public alone; through these a test sees the tables that only our functions read."""


@contextmanager
def running_supabase(
    folder: Path, publishable_key: str, secret_key: str, *, with_postgres: bool, jwt_secret: str | None = None
) -> Iterator[LocalSupabase]:
    """A migrated project until the end of the block: in front of a real server, else on PGlite (three times slower)."""
    with ExitStack() as stack:
        server = stack.enter_context(LocalPostgres()) if with_postgres else None
        database_url = server.dsn() if server else None
        migrations = folder / "migrations"
        shutil.copytree(MIGRATIONS, migrations)
        (migrations / "99999999999999_peeks.sql").write_text(PEEKS)
        keys = (publishable_key, secret_key)
        lite = LocalSupabase(folder, free_port(), *keys, database_url, migrations, jwt_secret)
        stack.enter_context(lite)
        if server:
            lite.migrate()
        else:
            _migrate_pglite(lite, migrations)
        lite.start()
        lite.wait_ready()
        yield lite


def _migrate_pglite(lite: LocalSupabase, migrations: Path) -> None:
    """The first project with these migrations is kept, further ones are its copies: it takes PGlite six seconds."""
    lock = (ROOT / "scripts/local/package-lock.json").read_bytes()  # names the version of Lite
    texts = [lock, *(file.name.encode() + file.read_bytes() for file in sorted(migrations.iterdir()))]
    STATE.mkdir(exist_ok=True)
    kept = STATE / "pglite" / hashlib.sha256(b"\0".join(texts)).hexdigest()
    data = lite.folder / "supabase" / ".temp" / "data"
    with (STATE / "pglite.lock").open("w") as one_at_a_time:
        fcntl.flock(one_at_a_time, fcntl.LOCK_EX)
        if not kept.exists():
            lite.migrate()
            shutil.rmtree(kept.parent, ignore_errors=True)  # those of other migrations
            shutil.copytree(data, kept.with_suffix(".part"))
            kept.with_suffix(".part").rename(kept)
            return
        shutil.copytree(kept, data)


@contextmanager
def running_service(
    settings: Mapping[str, str], log: Path, port: int | None = None, ready: str = "/readyz"
) -> Iterator[str]:
    """The service with these settings and no others, until the end of the block: its address."""
    port = port or free_port()
    service = Child(
        "the service",
        [sys.executable, "-m", "supatoss", "serve"],
        cwd=ROOT,
        env={"PATH": os.environ["PATH"], "HOST": LOOPBACK, "PORT": str(port), **settings},
        log=log,
    )
    url = f"http://{LOOPBACK}:{port}"
    try:
        service.wait_until(lambda: _is_ready(url + ready), READY_SECONDS)
        yield url
    finally:
        service.stop()


def _is_ready(url: str) -> bool:
    try:
        return httpx.get(url, trust_env=False, timeout=5.0).status_code == httpx.codes.OK
    except httpx.TransportError:
        return False
