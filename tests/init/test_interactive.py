"""A person at a terminal with `supatoss init`."""

import stat
from collections.abc import Iterator
from contextlib import contextmanager

import httpx
import pytest

from supatoss.cli.options import Form
from supatoss.cli.sending import SigningKeys, delivery_headers
from tests.init.conftest import APP, SUPABASE_KEY, Place, Terminal
from tests.support import GUIDE_PAYMENT, SECRET_KEY, raw_body

pytestmark = pytest.mark.timeout(240)

SECRETS = (SUPABASE_KEY, SECRET_KEY)


@contextmanager
def at_the_terminal(place: Place, *arguments: str) -> Iterator[Terminal]:
    terminal = Terminal(place, *arguments)
    try:
        yield terminal
    finally:
        terminal.close()


def test_from_nothing_to_the_first_delivery_with_a_pause(place: Place, http: httpx.Client) -> None:
    place.changes["PUBLIC_URL"] = place.service_url
    with place.world():
        with at_the_terminal(place, "--app", APP) as terminal:
            answer_wrongly_and_rightly(terminal, place)
            terminal.answer("Database connection string", place.dsn)
            terminal.until("✓ preflight: nothing stands in the way of the migrations\n")
            terminal.until("files to ")
            terminal.answer("Push the migrations now, with the Supabase CLI? [y/N]", "y")
            terminal.until("✓ push: the project has schema version")
            terminal.answer(f"Set 4 secrets of {APP} now, using fly? [y/N]", "y")
            terminal.until(f"✓ secrets: 4 secrets of {APP} are set")
            terminal.until(f"✓ deploy: {APP} is deployed")
            terminal.until("ready, schema version")
            terminal.until("URL: http://127.0.0.1")
            terminal.answer("Press Enter when it is registered at Toss", "")
            terminal.until("Ctrl-C stops waiting.")
            terminal.press_ctrl_c()
            assert terminal.end() == 130
            assert "✗ first delivery: stopped waiting; everything before this is done" in terminal.screen
            assert "Run supatoss init again to resume here." in terminal.screen
            shown = terminal.screen
        assert not any(secret in shown for secret in SECRETS)
        assert stat.S_IMODE(place.env_file.stat().st_mode) == 0o600

        with at_the_terminal(place, "--app", APP) as terminal:
            terminal.until("✓ Toss keys: test key, accepted")
            terminal.until("✓ secrets: the service is ready, so it has them (already done)")
            terminal.answer("Press Enter when it is registered at Toss", "")
            terminal.until("Ctrl-C stops waiting.")
            raw, keys = raw_body(GUIDE_PAYMENT), SigningKeys("", "", (SECRET_KEY,), ())
            http.post(
                f"{place.service_url}/webhooks/toss", content=raw, headers=delivery_headers(raw, keys, Form.HEX)
            ).raise_for_status()
            terminal.until("✓ first delivery: PAYMENT_STATUS_CHANGED, processed, proof signature")
            assert terminal.end() == 0

        last = place.script("--yes", "--app", APP)
        assert last.returncode == 0, last.stderr
        assert last.stdout.count("(already done)") == 9
    for call in place.calls():
        assert not any(secret in str(call["arguments"]) for secret in (*SECRETS, place.postgres.password))
    (imported,) = [call["typed"] for call in place.calls() if "import" in call["arguments"]]
    assert dict(line.split("=", 1) for line in imported.splitlines()) == {
        "SUPABASE_URL": place.lite.url,
        "SUPABASE_SECRET_KEY": SUPABASE_KEY,
        "TOSS_SECRET_KEY": SECRET_KEY,
        "PUBLIC_URL": place.service_url,
    }


def answer_wrongly_and_rightly(terminal: Terminal, place: Place) -> None:
    for question, wrong, words, right in (
        ("Address of the Supabase project", "https://supabase.com/dashboard/projects", "the dashboard", place.lite.url),
        ("Secret key of http", "sb_publishable_for_init_000001", "is a publishable key", f"  {SUPABASE_KEY} "),
        ("Toss secret key", "test_ck_of_the_client_0001", "is a client key", SECRET_KEY),
        ("Security key", "abc", "should be a security key of Toss: 64 hex digits", ""),
    ):
        terminal.answer(question, wrong)
        terminal.until(words)
        terminal.answer(question, right)
    terminal.until("✓ Toss keys: test key, accepted")
    terminal.until("✓ .env: wrote SUPABASE_URL, SUPABASE_SECRET_KEY, TOSS_SECRET_KEY")


def test_ctrl_c_at_a_question_ends_it(empty_place: Place) -> None:
    with at_the_terminal(empty_place) as terminal:
        terminal.until("Address of the Supabase project")
        terminal.press_ctrl_c()
        assert terminal.end() == 130
        assert "Run supatoss init again to resume here." in terminal.screen
