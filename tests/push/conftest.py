"""A merchant's repository, pushed by the real Supabase CLI onto a real PostgreSQL."""

import os
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from scripts.local_stack import find_node, install
from supatoss.cli import app
from tests.database.conftest import empty_database, postgres  # noqa: F401 - fixtures of the database's tests

CLI_SECONDS = 60
NOBODY = "http://127.0.0.1:9"


@dataclass(frozen=True)
class Repository:
    """A project's repository, and the database that it is pushed to."""

    root: Path
    dsn: str
    home: Path

    @property
    def folder(self) -> Path:
        return self.root / "supabase/migrations"

    def add(self, name: str, text: str) -> Path:
        """A migration of the merchant's own."""
        self.folder.mkdir(exist_ok=True)
        (self.folder / name).write_text(text)
        return self.folder / name

    def versions(self) -> list[str]:
        return sorted(file.name.partition("_")[0] for file in self.folder.iterdir())

    def copy(self, *options: str) -> Result:
        return CliRunner().invoke(app, ["migrations", "copy", str(self.root), *options])

    def cli(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """The real CLI, which talks to the database and to nobody else."""
        modules = install(source=Path(__file__).parent, name="push")
        return subprocess.run(  # noqa: S603 - the CLI
            [find_node().program, modules / "supabase/dist/supabase.js", *arguments],
            cwd=self.root,
            env={
                "PATH": os.environ["PATH"],
                "HOME": str(self.home),
                "HTTPS_PROXY": NOBODY,
                "HTTP_PROXY": NOBODY,
                "SUPABASE_TELEMETRY_DISABLED": "1",
                "DO_NOT_TRACK": "1",
            },
            capture_output=True,
            text=True,
            timeout=CLI_SECONDS,
            check=False,
        )

    def push(self, *options: str) -> subprocess.CompletedProcess[str]:
        return self.cli("db", "push", f"--remote={self.dsn}", "--yes", *options)

    def must_push(self) -> Sequence[str]:
        """The names of what was applied."""
        result = self.push()
        assert result.returncode == 0, result.stderr
        lines = result.stderr.splitlines()
        return [line.split()[2].removesuffix("...") for line in lines if line.startswith("Applying migration")]

    def listed(self) -> list[tuple[str, str]]:
        """What `migration list` says: local and remote versions."""
        result = self.cli("migration", "list", f"--remote={self.dsn}")
        assert result.returncode == 0, result.stderr
        cells = [line.replace("`", "").split("|") for line in result.stdout.splitlines() if "`" in line]
        return [(row[0].strip(), row[1].strip()) for row in cells]


@pytest.fixture
def repository(tmp_path: Path, empty_database: str) -> Repository:  # noqa: F811 - the fixture
    root = tmp_path / "shop"
    (root / "supabase").mkdir(parents=True)
    (root / "supabase/config.toml").write_text('project_id = "shop"\n')
    (tmp_path / "home").mkdir()
    return Repository(root, empty_database, tmp_path / "home")
