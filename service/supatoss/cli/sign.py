"""`supatoss sign`: the headers that a body would come with."""

from typing import Annotated

import typer

from supatoss.cli.body import STDIN, BodyArgument, read_bytes
from supatoss.cli.form import Form
from supatoss.cli.output import JsonOption, print_json

KeyOption = Annotated[
    str | None,
    typer.Option(
        "--key-env", metavar="NAME", help="Variable with the key; TOSS_SECRET_KEY or TOSS_SECURITY_KEY unless given."
    ),
]


def sign(
    file: BodyArgument = STDIN,
    *,
    form: Annotated[Form, typer.Option("--form", help="Form of the signature.")] = Form.HEX,
    sent_at: Annotated[
        str | None,
        typer.Option("--time", metavar="TIME", help="Transmission time, as it is to stand; now unless given."),
    ] = None,
    key_env: KeyOption = None,
    json: JsonOption = False,
) -> None:
    """Sign a body: headers for curl -H @FILE."""
    from supatoss.cli.signing import SigningKeys, delivery_headers

    if sent_at is not None and not (sent_at.isascii() and sent_at.isprintable() and sent_at.strip() == sent_at != ""):
        raise typer.BadParameter("should be printable ASCII, such as 2026-03-14T10:21:08+09:00", param_hint="--time")
    headers = delivery_headers(read_bytes(file), SigningKeys.read(key_env), form, sent_at=sent_at)
    if json:
        print_json(headers)
    else:
        typer.echo("\n".join(f"{name}: {value}" for name, value in headers.items()))
