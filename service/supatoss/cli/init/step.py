"""What a step of `supatoss init` is, and how it stops."""

from typing import TYPE_CHECKING, ClassVar

from supatoss.cli.output import ExitStatus

if TYPE_CHECKING:
    from supatoss.cli.init.setup import Setup


class Stopped(Exception):
    """A step can't go on: why, what to do about it (one way a line), and the command's exit status."""

    def __init__(self, cause: str, remedy: str, status: ExitStatus = ExitStatus.FOUND) -> None:
        super().__init__(cause)
        self.cause = cause
        self.remedy = remedy
        self.status = status


class Step:
    """One step. Both methods say in a line what they found or did, and raise Stopped."""

    name: ClassVar[str]

    def done(self, setup: "Setup") -> str | None:  # noqa: ARG002 - for steps that look at nothing
        """What was done before. None: it is to be run, as is every step that only looks."""
        return None

    def run(self, setup: "Setup") -> str:
        """Does it."""
        raise NotImplementedError
