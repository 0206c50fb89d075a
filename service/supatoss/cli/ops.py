"""`supatoss ops`: who may use the operators' page, and signing them out."""

import os
import sys
from typing import TYPE_CHECKING, Annotated

import typer

from supatoss.cli.options import default_actor
from supatoss.cli.session import ask
from supatoss.errors import NotAllowed

if TYPE_CHECKING:
    from supatoss.store.sessions import SessionCalls

ops = typer.Typer(no_args_is_help=True, help="Add operators to the page, and sign them out.")


@ops.command("add-user")
def add_user(
    name: Annotated[str, typer.Argument(help="The operator, as the audit trail will name them.")],
) -> None:
    """Print OPS_USERS with one more operator, or a new password.

    Reads the password from the terminal, or one line of standard input. Keeps the operators in OPS_USERS of this
    environment. Nothing is sent or stored.

    Example: supatoss ops add-user anna
    """
    from supatoss.cli.dotenv import load_dotenv
    from supatoss.passwords import PasswordHash, User, check_name, fold_name, read_users

    load_dotenv()
    try:
        name = check_name(name)
        known = os.environ.get("OPS_USERS", "").strip()
        users = read_users(line.strip() for line in known.split(",")) if known else []
    except ValueError as error:
        raise NotAllowed(f"NAME or OPS_USERS: {error}") from None
    new = User(name, PasswordHash.of(_read_password()))
    users = [user for user in users if fold_name(user.name) != fold_name(name)]
    typer.echo(",".join(str(user) for user in (*users, new)))


def _read_password() -> str:
    from supatoss.passwords import MIN_PASSWORD_CHARACTERS

    if sys.stdin.isatty():
        password = typer.prompt("Password", hide_input=True, confirmation_prompt=True, err=True)
    else:
        try:
            password = sys.stdin.buffer.readline().decode().rstrip("\r\n")
        except UnicodeDecodeError:
            raise NotAllowed("the password on standard input is not UTF-8") from None
    if len(password) < MIN_PASSWORD_CHARACTERS:
        raise NotAllowed(f"the password should have at least {MIN_PASSWORD_CHARACTERS} characters")
    return str(password)


@ops.command("sign-out")
def sign_out(
    name: Annotated[str | None, typer.Argument(help="Whom to sign out; `operator` without OPS_USERS.")] = None,
    *,
    everybody: Annotated[bool, typer.Option("--all", help="Everybody.")] = False,
) -> None:
    """End an operator's sessions, or all of them.

    On every machine at once. The password still works: change it too if somebody else knows it.

    Example: supatoss ops sign-out anna
    """
    if (name is None) != everybody:
        raise typer.BadParameter("give a name, or --all", param_hint="NAME")
    from supatoss.store.sessions import SessionCalls

    async def work(store: "SessionCalls") -> int:
        return await store.end_sessions(operator=name, ended_by=default_actor())

    ended = ask(SessionCalls, work)
    typer.echo(f"{ended} session{'' if ended == 1 else 's'} ended.")
