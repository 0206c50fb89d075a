"""The `supatoss` command."""

import os
import subprocess
import sys

from service import __version__


def supatoss(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(  # noqa: S603 - arguments of these tests
        [sys.executable, "-c", "import sys; from service.cli import main; sys.exit(main())", *arguments],
        env={"PATH": os.environ["PATH"]},
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )


def test_the_version() -> None:
    assert supatoss("--version").stdout.strip() == __version__


def test_a_worker_without_settings_says_what_is_missing() -> None:
    result = supatoss("worker")
    assert result.returncode == 2
    assert "SUPABASE_URL is missing" in result.stderr
    assert "Traceback" not in result.stderr


def test_an_unknown_command_is_refused() -> None:
    result = supatoss("nothing")
    assert result.returncode == 2
    assert "invalid choice" in result.stderr
