"""`supatoss init --yes`, and without a terminal."""

import base64
import json
import os
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
from typer.testing import CliRunner

from scripts.local_stack import LOOPBACK, ROOT
from supatoss.cli import app
from tests.init.conftest import APP, PUBLISHABLE_KEY, SUPABASE_KEY, Place
from tests.support import SECRET_KEY, SECURITY_KEY

pytestmark = pytest.mark.timeout(240)

NOBODY = f"http://{LOOPBACK}:9"
REF = "abcdefghijklmnopqrst"


def token(**claims: str) -> str:
    body = base64.urlsafe_b64encode(json.dumps(claims).encode()).decode().rstrip("=")
    return f"eyJhbGciOiJIUzI1NiJ9.{body}.signature"


@pytest.mark.slow  # the same as at a terminal, with the options of a script
def test_from_nothing_to_a_delivery_and_again(place: Place) -> None:
    everything = ("--yes", "--push", "--deploy", "--test-delivery", "--app", APP)
    place.changes["TOSS_SECURITY_KEY"] = SECURITY_KEY
    with place.world():
        first = place.script(*everything)
        assert first.returncode == 0, first.stdout + first.stderr
        assert "✓ first delivery: a signed test delivery was stored (200 created, ignored" in first.stdout
        second = place.script(*everything)
        assert second.returncode == 0, second.stderr
    assert second.stdout.count("(already done)") == 7
    assert f"✓ secrets: 5 secrets of {APP} are unchanged" in second.stdout
    assert "✓ first delivery: a signed test delivery was stored: CUSTOMER_STATUS_CHANGED" in second.stdout
    programs = [(call["program"], call["arguments"][0]) for call in place.calls()]
    assert programs.count(("fly", "deploy")) == programs.count(("npx", "--yes")) == 1
    (pushed,) = [call for call in place.calls() if call["program"] == "npx"]
    assert pushed["environment"] == {"PGPASSWORD": place.postgres.password}
    for secret in (SUPABASE_KEY, SECRET_KEY, SECURITY_KEY, place.postgres.password):
        assert not any(secret in str(call["arguments"]) for call in place.calls())
        assert secret not in first.stdout + first.stderr


@pytest.mark.parametrize(
    ("changes", "status", "step", "cause", "remedy"),
    [
        (
            {"SUPABASE_URL": None},
            2,
            "Supabase project",
            "SUPABASE_URL is missing",
            "set it in the environment or in .env",
        ),
        (
            {"SUPABASE_URL": "https://supabase.com/dashboard/org/x"},
            2,
            "Supabase project",
            "SUPABASE_URL is an address of the dashboard; should be https://<project-ref>.supabase.co",
            "Project Settings > Data API",
        ),
        (
            {"SUPABASE_URL": "postgresql://postgres:pw@db.x.supabase.co/postgres"},
            2,
            "Supabase project",
            "SUPABASE_URL is a connection string of the database",
            "Project Settings > Data API",
        ),
        (
            {"SUPABASE_SECRET_KEY": token(role="anon")},
            2,
            "Supabase project",
            "SUPABASE_SECRET_KEY is a key of the role anon; should be the secret one",
            "API Keys",
        ),
        ({"SUPABASE_SECRET_KEY": PUBLISHABLE_KEY}, 2, "Supabase project", "is a publishable key", "API Keys"),
        ({"SUPABASE_SECRET_KEY": "sb_secret_with a space"}, 2, "Supabase project", "without spaces", "API Keys"),
        ({"SUPABASE_SECRET_KEY": "sb_secret_with\na_line"}, 2, "Supabase project", "without spaces", "API Keys"),
        (
            {
                "SUPABASE_URL": f"https://{REF}.supabase.co",
                "SUPABASE_SECRET_KEY": token(role="service_role", ref="other"),
            },
            2,
            "Supabase project",
            f"the key belongs to the project other, not to https://{REF}.supabase.co",
            "or the address https://other.supabase.co",
        ),
        (
            {"SUPABASE_SECRET_KEY": "sb_secret_revoked_long_ago"},
            3,
            "Supabase project",
            "the gateway before the Data API does not accept the key: HTTP 401",
            "and was not revoked",
        ),
        ({"SUPABASE_URL": NOBODY}, 3, "Supabase project", "nothing listens at SUPABASE_URL", "not paused or deleted"),
        ({"TOSS_SECRET_KEY": None}, 2, "Toss keys", "TOSS_SECRET_KEY is missing", ".env"),
        ({"TOSS_SECRET_KEY": "test_ck_of_the_client_0001"}, 2, "Toss keys", "is a client key", "API keys"),
        ({"TOSS_SECRET_KEY": "test_sk_revoked_long_ago1"}, 1, "Toss keys", "test key, not accepted", "API keys"),
        ({"TOSS_API_URL": NOBODY}, 3, "Toss keys", "can't reach Toss", "TOSS_API_URL"),
        ({"TOSS_SECURITY_KEY": "abc"}, 2, "Toss keys", "should be a security key of Toss", "API keys"),
        ({"PUBLIC_URL": None}, 2, "public address", "--app NAME makes it https://NAME.fly.dev", ".env"),
        ({"PUBLIC_URL": "https://x.fly.dev/webhooks/toss"}, 2, "public address", "should be an address", "path"),
        (
            {"SUPABASE_DB_URL": f"postgresql://postgres:hidden-password@{LOOPBACK}:1/x"},
            3,
            "preflight",
            f"the database at {LOOPBACK}:1 does not answer: nothing listens there",
            "SQL Editor",
        ),
        ({"SUPABASE_DB_URL": "hidden-password"}, 2, "preflight", "not a connection string", "SQL Editor"),
    ],
)
def test_a_wrong_answer_is_named_with_its_remedy(
    empty_place: Place,
    monkeypatch: pytest.MonkeyPatch,
    changes: dict[str, str | None],
    status: int,
    step: str,
    cause: str,
    remedy: str,
) -> None:
    empty_place.changes.update(changes)
    monkeypatch.chdir(empty_place.root)
    monkeypatch.setattr(os, "environ", empty_place.environment(with_answers=True))
    result = CliRunner().invoke(app, ["init", "--yes"])
    assert result.exit_code == status, result.output
    first, *rest = result.stderr.splitlines()
    assert first.startswith(f"✗ {step}: "), result.stderr
    assert cause in first
    assert remedy in "\n".join(rest)
    assert rest[-1] == "Run supatoss init again to resume here."
    assert "hidden-password" not in result.output


def test_without_a_terminal_it_never_waits_for_an_answer(empty_place: Place) -> None:
    empty_place.changes["TOSS_SECRET_KEY"] = None
    result = empty_place.script(typed="")
    assert (result.returncode, "TOSS_SECRET_KEY is missing" in result.stderr) == (2, True)


def test_what_is_not_told_to_run_is_printed_and_the_next_run_resumes(empty_place: Place) -> None:
    subprocess.run(["git", "init", "--quiet"], cwd=empty_place.root, check=True)  # noqa: S607
    empty_place.env_file.write_text("# mine\nOTHER=1\n")
    stopped = empty_place.script("--yes")
    assert stopped.returncode == 1
    count = len(list((ROOT / "supabase/migrations").glob("*.sql")))
    assert f"✓ migrations: copied {count} files" in stopped.stdout
    assert "✗ push: the migrations haven't been pushed" in stopped.stderr
    assert "npx supabase@3.1.0 db push --remote=postgresql://postgres@" in stopped.stderr
    assert empty_place.postgres.password not in stopped.stderr
    assert empty_place.calls() == []
    assert empty_place.env_file.read_text().startswith("# mine\nOTHER=1\n\n# supatoss: docs/settings.md\nSUPABASE_URL=")
    assert (empty_place.root / ".gitignore").read_text() == ".env\n"

    for name in ("SUPABASE_URL", "SUPABASE_SECRET_KEY", "TOSS_SECRET_KEY", "TOSS_API_URL", "PUBLIC_URL"):
        empty_place.changes[name] = None
    again = empty_place.script("--yes")
    assert "(already done)" in next(line for line in again.stdout.splitlines() if line.startswith("✓ migrations"))
    assert "✗ push" in again.stderr


def test_another_value_in_the_file_is_never_replaced_silently(empty_place: Place) -> None:
    empty_place.env_file.write_text("TOSS_SECRET_KEY=test_sk_of_another_merchant\n")
    result = empty_place.script("--yes")
    assert "! TOSS_SECRET_KEY in " in result.stdout
    assert empty_place.env_file.read_text().startswith("TOSS_SECRET_KEY=test_sk_of_another_merchant\n")


@pytest.mark.parametrize(
    ("prepare", "cause"),
    [
        (lambda root: (root / ".env").mkdir(), "can't use "),
        (lambda root: (root / ".env").write_bytes(b"\xff\xfe"), "is not UTF-8"),
        (lambda root: (root / "supabase/config.toml").unlink(), "no repository given"),
        (lambda root: (root / "supabase/migrations").write_text(""), "can't read "),
    ],
)
def test_a_folder_that_can_t_be_used(empty_place: Place, prepare: Callable[[Path], object], cause: str) -> None:
    prepare(empty_place.root)
    result = empty_place.script("--yes")
    assert (result.returncode, cause in result.stderr) == (2, True), result.stderr
    assert "Traceback" not in result.stderr


def test_obstacles_are_listed_with_ways_that_init_takes(empty_place: Place) -> None:
    empty_place.administer("create table payments (id bigint primary key, state text)")
    try:
        result = empty_place.script("--yes")
        assert result.returncode == 1
        assert "  1. public.payments is of another shape" in result.stderr.replace("✗ preflight: ", "  ")
        assert "→ 1. keep ours beside it: supatoss init --schema toss" in result.stderr
        beside = empty_place.script("--yes", "--schema", "toss")
        assert "✓ preflight: nothing stands in the way" in beside.stdout
    finally:
        empty_place.administer("drop table payments")


def test_a_program_that_fails_is_named(empty_place: Place) -> None:
    (empty_place.root.parent / "npx-fails").write_text("Error: No access token available. Please login\n")
    result = empty_place.script("--yes", "--push")
    assert result.returncode == 1
    assert "Please login" in result.stderr
    assert "✗ push: `npx --yes supabase@3.1.0 db push --remote=" in result.stderr
