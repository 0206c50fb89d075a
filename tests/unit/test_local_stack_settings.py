"""What `make run` does with Toss's settings, what commands take from it, and its spinner."""

import io
import os
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest
from rich.console import Console

from scripts import dev
from scripts.local.credentials import LocalKeys
from scripts.local.screen import Steps
from supatoss.cli import dotenv
from supatoss.cli.dotenv import load_local_stack

EMULATOR = "http://127.0.0.1:8090"
KEYS = LocalKeys("sb_publishable_x", "sb_secret_x", "jwt", "test_sk_of_the_emulator", "0" * 64, "password")


@pytest.mark.parametrize(
    ("environment", "used", "remark"),
    [
        ({}, EMULATOR, None),
        ({"TOSS_API_URL": "http://127.0.0.1:9999", "TOSS_SECRET_KEY": KEYS.toss_secret_key}, EMULATOR, None),
        ({"TOSS_SECRET_KEY": "test_sk_mine1234"}, EMULATOR, "TOSS_SECRET_KEY from your environment (…1234) is ignored"),
        ({"TOSS_API_URL": "https://toss.test"}, EMULATOR, "TOSS_API_URL from your environment is ignored"),
        (
            {"TOSS_API_URL": "https://toss.test", "TOSS_SECRET_KEY": "test_sk_mine1234"},
            "https://toss.test",
            "from your environment, not the emulator",
        ),
    ],
)
def test_what_is_done_with_the_environment_is_said(environment: dict[str, str], used: str, remark: str | None) -> None:
    toss, said = dev._toss(environment, KEYS, EMULATOR)
    assert toss["TOSS_API_URL"] == used
    assert (said is None) == (remark is None)
    assert (remark or "") in (said or "")
    assert "test_sk_mine" not in (said or "")


@pytest.fixture
def local_stack(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[socket.socket]:
    """A checkout whose stack runs, and an environment without settings."""
    monkeypatch.setattr(dotenv, "CHECKOUT", tmp_path)
    for name in ("SUPABASE_URL", "SUPABASE_SECRET_KEY", "SUPABASE_SERVICE_ROLE_KEY", "TOSS_SECRET_KEY", "WEBHOOK_URL"):
        monkeypatch.setenv(name, "")  # so that what is set is undone
        monkeypatch.delenv(name)
    with socket.create_server(("127.0.0.1", 0)) as server:
        url = f"http://127.0.0.1:{server.getsockname()[1]}"
        (tmp_path / ".local").mkdir()
        (tmp_path / ".local/env").write_text(
            f"export SUPABASE_URL={url}\nexport SUPABASE_SECRET_KEY=sb_secret_x\nexport WEBHOOK_URL='http://local.test/'\n"
        )
        yield server


@pytest.mark.usefixtures("local_stack")
def test_commands_find_the_running_stack(capsys: pytest.CaptureFixture[str]) -> None:
    load_local_stack()
    assert os.environ["WEBHOOK_URL"] == "http://local.test/"
    assert os.environ["SUPABASE_SECRET_KEY"] == "sb_secret_x"
    assert "using the local stack of `make run`" in capsys.readouterr().err


def test_a_stack_that_is_stopped_is_not_used(local_stack: socket.socket) -> None:
    local_stack.close()
    load_local_stack()
    assert "SUPABASE_URL" not in os.environ


@pytest.mark.parametrize("name", ["SUPABASE_URL", "SUPABASE_SECRET_KEY", "TOSS_SECRET_KEY"])
@pytest.mark.usefixtures("local_stack")
def test_nothing_of_it_is_mixed_with_settings_of_the_environment(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    monkeypatch.setenv(name, "of somebody else")
    load_local_stack()
    assert "WEBHOOK_URL" not in os.environ


def test_the_spinner_ends_where_others_write() -> None:
    steps, screen = Steps(), io.StringIO()
    steps._console = Console(file=screen, force_terminal=True, highlight=False, soft_wrap=True)
    steps._spins = True
    with steps.step("one"):
        pass
    assert "\x1b[?25l" in screen.getvalue()  # the cursor is hidden while it spins
    steps.share_terminal()
    screen.truncate(0)
    screen.seek(0)
    with steps.step("two"):
        assert screen.getvalue() == "… two\n"
    assert screen.getvalue().startswith("… two\n✓ two (")
    assert "\x1b[?25l" not in screen.getvalue()
