"""Prompts of `supatoss init`; there are none without a terminal."""

from collections.abc import Callable

import typer

from supatoss.cli.init.step import Stopped
from supatoss.cli.output import ExitStatus, plain

IN_ENV = "set it in the environment or in .env"


class Asking:
    """Prompts at a terminal. Without one, a step that has a question stops."""

    def __init__(self, *, is_there: bool) -> None:
        self.is_there = is_there

    def text(
        self, question: str, *, missing: str = "", remedy: str = IN_ENV, default: str = "", is_secret: bool = False
    ) -> str:
        """The answer, stripped. Enter gives the default, which is not shown if it is a secret.

        missing, remedy: why the step stops without a terminal, and what to do.
        """
        if not self.is_there:
            raise Stopped(missing, remedy, ExitStatus.MISUSE)
        answer: str = typer.prompt(
            question, default=default, hide_input=is_secret, show_default=bool(default) and not is_secret
        )
        return answer.strip()

    def is_agreed(self, question: str, *, default: bool = True) -> bool:
        """Yes or no; no without a terminal."""
        return self.is_there and typer.confirm(question, default=default)

    def until_right(
        self,
        question: str,
        check: Callable[[str], str],
        *,
        missing: str,
        remedy: str = IN_ENV,
        default: str = "",
        is_secret: bool = False,
    ) -> tuple[str, str]:
        """Asks until `check` accepts the answer; returns the answer and what `check` says about it.

        If the answer couldn't be checked because the other side was unavailable, Enter tries it again.
        """
        while True:
            answer = self.text(question, missing=missing, remedy=remedy, default=default, is_secret=is_secret)
            try:
                return answer, check(answer)
            except Stopped as wrong:
                typer.echo(f"  ✗ {plain(wrong.cause)}")
                for line in wrong.remedy.splitlines():
                    typer.echo(f"    → {plain(line)}")
                default = "" if wrong.status is ExitStatus.MISUSE else answer
