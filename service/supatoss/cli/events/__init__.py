"""`supatoss events`: the inbox from the command line."""

import typer

from supatoss.cli.events.actions import ignore, replay
from supatoss.cli.events.listing import list_events, show, tail

events = typer.Typer(no_args_is_help=True, help="Look into the inbox, and repair what is in it.")
events.command("list")(list_events)
events.command()(show)
events.command()(tail)
events.command()(replay)
events.command()(ignore)
