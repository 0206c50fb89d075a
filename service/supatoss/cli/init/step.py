"""What a step of `supatoss init` is, and how it stops."""

from typing import TYPE_CHECKING, ClassVar

from supatoss.cli.output import ExitStatus

if TYPE_CHECKING:
    from supatoss.cli.init.setup import Setup


class Stopped(Exception):
    """A step can't continue: the cause, the remedies (one per line), and the command's exit status."""

    def __init__(self, cause: str, remedy: str, status: ExitStatus = ExitStatus.FOUND) -> None:
        super().__init__(cause)
        self.cause = cause
        self.remedy = remedy
        self.status = status


class Step:
    """One step. Both methods return a line that says what they found or did. They raise Stopped."""

    name: ClassVar[str]

    def done(self, setup: "Setup") -> str | None:  # noqa: ARG002 - for steps that look at nothing
        """What an earlier run did. None: run the step, as is always the case for steps that only check."""
        return None

    def run(self, setup: "Setup") -> str:
        """Runs the step."""
        raise NotImplementedError
