"""What the steps of `supatoss init` share: options, answers, and findings of earlier steps."""

import os
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from supatoss.cli.init.asking import Asking
from supatoss.cli.init.env_file import EnvFile
from supatoss.cli.init.step import Stopped
from supatoss.cli.output import ExitStatus
from supatoss.cli.session import run_async
from supatoss.errors import ConfigurationError

if TYPE_CHECKING:
    from supatoss.settings import Settings
    from supatoss.store import Store

T = TypeVar("T")


@dataclass(frozen=True)
class Options:
    """The command's options."""

    repository: Path | None = None
    schema: str | None = None
    tables: tuple[str, ...] = ()
    database_url: str | None = None
    app: str | None = None
    pushes: bool = False
    deploys: bool = False
    sends_test: bool = False
    wait_seconds: float = 600.0


@dataclass
class Setup:
    """Answers are kept in the environment, where every command reads them; `kept` is also written to .env."""

    options: Options
    asking: Asking
    env_file: EnvFile
    kept: dict[str, str] = field(default_factory=dict)
    schema_version: int | None = None
    repository: Path | None = None
    fly_app: str | None = None
    is_deploying: bool = False
    has_new_secrets: bool = False

    def answer(self, name: str) -> str:
        """A setting; empty if it is not set."""
        return os.environ.get(name, "").strip()

    def keep(self, values: Mapping[str, str]) -> None:
        """Keeps answers that were tried and work."""
        os.environ.update(values)
        self.kept.update(values)

    def is_told(self, option: bool, question: str) -> bool:
        """Whether to push or deploy: if the option says so, or somebody agrees."""
        return option or self.asking.is_agreed(question, default=False)

    def remember(self, name: str, value: str) -> None:
        """Keeps an answer for this run only."""
        os.environ[name] = value

    def settings(self, **later: Any) -> "Settings":
        """The settings so far; `later` replaces those of later steps. Raises Stopped."""
        from supatoss.settings import Settings

        try:
            return Settings.load(**later)
        except ConfigurationError as error:
            remedy = "correct it in the environment or in .env; docs/settings.md describes every setting"
            raise Stopped("\n".join(error.problems), remedy, ExitStatus.MISUSE) from None

    def ask_store(self, ask: "Callable[[Store], Awaitable[T]]") -> T:
        """Calls the Data API. Raises StoreError."""
        from supatoss.store import Store

        url, key = self.answer("SUPABASE_URL"), self.answer("SUPABASE_SECRET_KEY")
        publishable = self.answer("SUPABASE_PUBLISHABLE_KEY") or None

        async def inside() -> T:
            async with Store.open(url, key, ANSWER_SECONDS, publishable) as store:
                return await ask(store)

        return run_async(inside())


ANSWER_SECONDS = 8.0
"""For one call of the Data API: a paused project wakes up slowly."""
