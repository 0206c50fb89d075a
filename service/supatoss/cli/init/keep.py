"""Writes the answers to `.env`, for later commands and the next `supatoss init`."""

import typer

from supatoss.cli.init.setup import Setup
from supatoss.cli.init.step import Step, Stopped
from supatoss.cli.output import plain


class KeepStep(Step):
    """Adds missing values. An existing value is replaced only after confirmation."""

    name = ".env"

    def done(self, setup: Setup) -> str | None:
        """Done if the file has every answer."""
        there = setup.env_file.values()
        if any(there.get(name) != value for name, value in setup.kept.items()):
            return None
        setup.env_file.put({})  # closes it to others
        return f"{setup.env_file.path} has all {len(setup.kept)} answers{_comma(setup.env_file.hide_from_git())}"

    def run(self, setup: Setup) -> str:
        """Makes git ignore the file before it writes keys."""
        ignored = setup.env_file.hide_from_git()
        there = setup.env_file.values()
        new = {name: value for name, value in setup.kept.items() if name not in there}
        other = [name for name, value in setup.kept.items() if name in there and there[name] != value]
        replaced = {
            name: setup.kept[name]
            for name in other
            if setup.asking.is_agreed(
                f"{name} in {setup.env_file.path} has a different value. Replace it?", default=False
            )
        }
        try:
            setup.env_file.put({**new, **replaced})
        except ValueError as error:
            raise Stopped(str(error), "remove it") from None
        for name in other:
            if name not in replaced:
                typer.echo(
                    f"  ! {name} in {plain(setup.env_file.path)} stays as it is; this run uses a different value"
                )
        written = [*new, *replaced]
        return f"wrote {', '.join(written) or 'nothing'} to {setup.env_file.path} (mode 0600){_comma(ignored)}"


def _comma(text: str) -> str:
    return f", {text}" if text else ""
