"""Scenarios in which something that the service needs is away or refuses it: the database, Toss, a key."""

from collections.abc import Callable

from tests.drill.certificate import untrusted_server
from tests.drill.person import says
from tests.drill.scenario import Scenario
from tests.drill.stage import Stage, secret_keys
from tests.faults.outages import DISK_FULL, NO_TRIGGER
from tests.faults.proxy import Mode
from tests.faults.toss import deposit
from tests.faults.world import SUPABASE_KEY

REVOKED = "live_sk_made_up_and_revoked_0009"
READ_ONLY = "alter system set default_transaction_read_only = on"
WRITABLE = "alter system reset default_transaction_read_only"

_FULL_TABLES = ("supatoss.alerts", "supatoss.processes", "supatoss.write_checks")
NO_SPACE = DISK_FULL + "".join(
    f"create trigger fault before insert or update on {table} for each statement execute function public.fault();\n"
    for table in _FULL_TABLES
)
SPACE = "drop function if exists public.fault cascade"

OURS = ("record_webhook_events_v1", "supatoss_read_alert_facts_v1", "supatoss_schema_version")
"""Functions that a project without our migrations does not have: those that these processes call first."""


def _every_key_refused(stage: Stage) -> None:
    stage.pay("order-unasked")
    alert = stage.until_started("key_refused")
    assert alert.subject == "key 1 (…0009)"
    says(alert.body["text"], "UNAUTHORIZED_KEY")
    says(stage.follow("supatoss doctor", status=1), "Toss key 1 of 1: live key, not accepted: UNAUTHORIZED_KEY")
    stage.restart(TOSS_SECRET_KEY=secret_keys())
    stage.until_ended("key_refused")


def _one_key_refused(stage: Stage) -> None:
    stage.pay("order-asked")
    alert = stage.until_started("key_refused")
    assert alert.subject == "key 2 (…0009)"
    shown = stage.follow("supatoss doctor", status=1)
    says(shown, "Toss key 1 of 2: live key, accepted")
    says(shown, "Toss key 2 of 2: live key, not accepted")
    stage.restart(TOSS_SECRET_KEY=secret_keys())
    stage.until_ended("key_refused")


def set_server(stage: Stage, statement: str) -> None:
    """Changes a setting of the database server, for connections that are open too."""
    stage.execute(statement)
    stage.execute("select pg_reload_conf()")


def _read_only(stage: Stage) -> None:
    stage.afterwards(lambda: set_server(stage, WRITABLE))
    set_server(stage, READ_ONLY)
    stage.pay("order-unwritten")
    alert = stage.until_started("database_away")
    says(alert.body["text"], "read-only")
    says(alert.body["text"], "SQLSTATE 25006")
    says(stage.follow("supatoss doctor", status=1), "read-only")
    says(stage.follow("curl -sS https://<app>.fly.dev/readyz"), "SQLSTATE 25006")
    set_server(stage, WRITABLE)
    stage.until_ended("database_away")


def _disk_full(stage: Stage) -> None:
    """As PostgreSQL says it; a disk that is really full would take this machine's other work along."""
    stage.afterwards(lambda: stage.execute(SPACE))
    stage.execute(NO_SPACE)
    stage.pay("order-unwritten")
    alert = stage.until_started("database_away")
    says(alert.body["text"], "disk is full: SQLSTATE 53100")
    says(stage.follow("supatoss doctor", status=1), "disk is full: SQLSTATE 53100")
    stage.execute(SPACE)
    stage.until_ended("database_away")


def _wrong_supabase_key(stage: Stage) -> None:
    stage.pay("order-unkeyed")
    alert = stage.until_started("database_away")
    says(alert.body["text"], "does not accept the key: HTTP 401")
    says(stage.follow("supatoss doctor", status=1), "does not accept the key: HTTP 401")
    stage.restart(SUPABASE_SECRET_KEY=SUPABASE_KEY)
    stage.until_ended("database_away")


def _data_api(mode: Mode) -> Callable[[Stage], None]:
    def play(stage: Stage) -> None:
        line = stage.world.data_api
        line.mode = mode
        line.cut()
        stage.pay("order-unwritten")
        alert = stage.until_started("database_away")
        says(alert.body["text"], "no answer from the Data API")
        says(stage.follow("supatoss doctor", status=1), "no answer from the Data API")
        line.mode = Mode.PASS
        line.cut()
        stage.until_ended("database_away")

    return play


def _certificate(stage: Stage) -> None:
    """A proxy in between answers with a certificate of its own."""
    with untrusted_server(stage.world.folder) as address:
        stage.restart(SUPABASE_URL=address)
        stage.pay("order-unwritten")
        alert = stage.until_started("database_away")
        says(alert.body["text"], "certificate is not trusted")
        says(stage.follow("supatoss doctor", status=1), "certificate is not trusted")
        stage.restart(SUPABASE_URL=stage.world.data_api.url)
        stage.until_ended("database_away")


def _wrong_address(stage: Stage) -> None:
    """SUPABASE_URL names something that is no Supabase project."""
    stage.restart(SUPABASE_URL=stage.toss.url)
    stage.pay("order-unwritten")
    alert = stage.until_started("database_away")
    says(alert.body["text"], "SUPABASE_URL is not a Supabase project")
    says(stage.follow("supatoss doctor", status=1), "SUPABASE_URL is not a Supabase project")
    stage.restart(SUPABASE_URL=stage.world.data_api.url)
    stage.until_ended("database_away")


def _no_functions(stage: Stage) -> None:
    """A project without the migrations, or with much older ones."""
    stage.afterwards(lambda: _hide_functions(stage, is_over=True))
    _hide_functions(stage)
    stage.pay("order-unwritten")
    alert = stage.until_started("database_away")
    says(alert.body["text"], "no schema of supatoss")
    stage.follow("supatoss doctor", status=1)
    _hide_functions(stage, is_over=True)
    stage.until_ended("database_away")


def _hide_functions(stage: Stage, *, is_over: bool = False) -> None:
    prefix, other = ("", "hidden_") if not is_over else ("hidden_", "")
    for name, arguments in stage.execute(
        "select proname, pg_get_function_identity_arguments(oid) from pg_proc"
        " where pronamespace = 'public'::regnamespace and proname = any(%s)",
        [f"{prefix}{name}" for name in OURS],
    ):
        renamed = f"{other}{name.removeprefix(prefix)}"
        stage.execute(f"alter function public.{name}({arguments}) rename to {renamed}")


def _write_fails(stage: Stage) -> None:
    """Only the inbox cannot be written: the rest of the database is well."""
    stage.afterwards(lambda: stage.execute(NO_TRIGGER))
    stage.execute(DISK_FULL)
    stage.pay("order-unstored")
    alert = stage.until_started("not_stored")
    assert ":web:" in alert.subject
    stage.follow("supatoss doctor", status=(0, 1))
    stage.follow("curl -sS https://<app>.fly.dev/readyz")
    says(stage.log(), "store_unavailable")
    stage.execute(NO_TRIGGER)
    stage.until_ended("not_stored")


def _cut_toss(stage: Stage, mode: Mode) -> None:
    stage.toss_line.mode = mode
    stage.toss_line.cut()


def _toss_unreachable(stage: Stage) -> None:
    _cut_toss(stage, Mode.REFUSE)
    stage.pay("order-unasked")
    alert = stage.until_started("toss_away")
    says(alert.body["text"], "key 1")
    says(stage.follow("supatoss doctor", status=1), "can't reach Toss")
    _cut_toss(stage, Mode.PASS)
    stage.until_ended("toss_away")


def _toss_down(stage: Stage) -> None:
    """Longer than the worker's three hours, with a deposit that was verified by its signature."""
    key = stage.pay("order-deposited", method="가상계좌")
    stage.until_event("order-deposited", "processed")
    body = deposit(stage.toss.payment(key) | {"approvedAt": "2026-11-24T10:00:00+09:00"})
    _cut_toss(stage, Mode.REFUSE)
    stage.lose_webhooks(lambda: stage.toss.play(f"payments/{key}/deposit"))
    stage.tell_signed(body)
    stage.pay("order-unsigned")
    stage.until_started("toss_away")
    stage.world.finish_pending()
    stage.until_started("event_failed")
    _cut_toss(stage, Mode.PASS)
    stage.until_ended("toss_away")
    replay = "supatoss events replay --status failed --with-reason unavailable --apply"
    stage.follow(replay)
    stage.until_ended("event_failed")


def _supabase_down(stage: Stage) -> None:
    stage.pay("order-before")
    stage.until_event("order-before", "processed")
    stage.afterwards(stage.world.postgres.start)
    stage.world.postgres.kill()
    stage.pay("order-during")
    stage.until_started("database_away")
    stage.world.postgres.start()
    stage.until_ended("database_away")
    stage.until_event("order-during", "processed")
    days = [stage.today(), stage.today()]
    stage.follow("supatoss reconcile --from YYYY-MM-DD --to YYYY-MM-DD", days=days)


def _other_schema(stage: Stage, by: int) -> int:
    """Migrations of another release, until the end of the scenario: the version that this release needs."""
    version = int(stage.execute("select public.supatoss_schema_version()")[0][0])
    stage.afterwards(lambda: _set_schema(stage, version))
    _set_schema(stage, version + by)
    return version


def _set_schema(stage: Stage, version: int) -> None:
    stage.execute(
        "create or replace function public.supatoss_schema_version() returns integer language sql immutable"
        f" set search_path = '' as $$ select {version} $$"
    )


def _older_schema(stage: Stage) -> None:
    """The service was updated before the database."""
    version = _other_schema(stage, -1)
    words = f"the database has schema version {version - 1}, this release needs {version}"
    stage.until(lambda: words in stage.follow("curl -sS https://<app>.fly.dev/readyz"), "/readyz says it")
    says(stage.follow("supatoss doctor", status=1), "run the migrations")
    stage.follow("fly logs")
    repository = stage.world.folder / "shop"
    (repository / "supabase").mkdir(parents=True, exist_ok=True)
    (repository / "supabase/config.toml").write_text('project_id = "shop"\n')
    stage.follow("supatoss migrations copy <your-repository>", repository=str(repository))
    stage.follow("npx supabase@3.1.0 db push --remote")
    _set_schema(stage, version)
    stage.until(lambda: '"ready"' in stage.follow("curl -sS https://<app>.fly.dev/readyz"), "/readyz is well")


def _newer_schema(stage: Stage) -> None:
    """The database was updated before the service, which goes on."""
    version = _other_schema(stage, 1)
    stage.pay("order-meanwhile")
    stage.until_event("order-meanwhile", "processed")
    shown = stage.follow("curl -sS https://<app>.fly.dev/readyz")
    says(shown, '"ready"')
    says(shown, f"the database has schema version {version + 1}, this release was made for {version}")
    says(stage.follow("supatoss doctor"), "update supatoss")


KEYS = (
    Scenario(
        "key_refused",
        "the only key is revoked",
        _every_key_refused,
        ["key_refused", "not_stored"],
        {"TOSS_SECRET_KEY": REVOKED},
    ),
    Scenario(
        "key_refused",
        "one of two keys is revoked",
        _one_key_refused,
        ["key_refused"],
        {"TOSS_SECRET_KEY": secret_keys(REVOKED)},
    ),
)

AWAY = ("database_away", "not_stored")

DATABASE = (
    Scenario("database_away", "read-only", _read_only, AWAY),
    Scenario("database_away", "its disk is full", _disk_full, AWAY),
    Scenario("database_away", "the Data API refuses connections", _data_api(Mode.REFUSE), AWAY),
    Scenario("database_away", "the Data API hangs", _data_api(Mode.SWALLOW), AWAY),
    Scenario("database_away", "a certificate that is not trusted", _certificate, AWAY),
    Scenario("database_away", "SUPABASE_URL is another service's", _wrong_address, AWAY),
    Scenario("database_away", "the migrations are missing", _no_functions, AWAY),
    Scenario(
        "database_away",
        "another project's key",
        _wrong_supabase_key,
        AWAY,
        {"SUPABASE_SECRET_KEY": "sb_secret_of_another_project"},
    ),
    Scenario("not_stored", "only the inbox cannot be written", _write_fails, ["not_stored"]),
    Scenario("not_ready", "the schema is older than the service", _older_schema),
    Scenario("not_ready", "the schema is newer than the service", _newer_schema),
    Scenario("Supabase was down", "PostgreSQL is killed", _supabase_down, AWAY),
)

TOSS = (
    Scenario("toss_away", "connections are refused", _toss_unreachable, ["toss_away", "not_stored"]),
    Scenario("Toss was down", "for longer than three hours", _toss_down, ["toss_away", "not_stored", "event_failed"]),
)
