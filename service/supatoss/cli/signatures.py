"""`supatoss sign` and `supatoss verify`: a delivery's signature."""

from pathlib import Path
from typing import Annotated

import typer

from supatoss.cli.options import STDIN, BodyArgument, Form, read_bytes
from supatoss.cli.output import ExitStatus, JsonOption, print_json

KeyOption = Annotated[
    str | None,
    typer.Option(
        "--key-env",
        metavar="NAME",
        help="Variable that holds the key; by default TOSS_SECRET_KEY or TOSS_SECURITY_KEY.",
    ),
]


def sign(
    file: BodyArgument = STDIN,
    *,
    form: Annotated[Form, typer.Option("--form", help="Form of the signature.")] = Form.HEX,
    sent_at: Annotated[
        str | None,
        typer.Option("--time", metavar="TIME", help="Transmission time, used verbatim; now by default."),
    ] = None,
    key_env: KeyOption = None,
    json: JsonOption = False,
) -> None:
    """Sign a body as Toss does, and print its headers.

    Example: supatoss sign body.json > headers; curl -H @headers -d @body.json URL
    """
    from supatoss.cli.sending import SigningKeys, delivery_headers

    if sent_at is not None and not (sent_at.isascii() and sent_at.isprintable() and sent_at.strip() == sent_at != ""):
        raise typer.BadParameter("must be printable ASCII, such as 2026-03-14T10:21:08+09:00", param_hint="--time")
    headers = delivery_headers(read_bytes(file), SigningKeys.read(key_env), form, sent_at=sent_at)
    if json:
        print_json(headers)
    else:
        typer.echo("\n".join(f"{name}: {value}" for name, value in headers.items()))


def verify(
    file: BodyArgument = STDIN,
    *,
    signature: Annotated[
        str | None, typer.Option("--signature", metavar="VALUE", help="Value of tosspayments-webhook-signature.")
    ] = None,
    sent_at: Annotated[
        str | None, typer.Option("--time", metavar="TIME", help="Value of tosspayments-webhook-transmission-time.")
    ] = None,
    headers: Annotated[
        Path | None, typer.Option("--headers", metavar="FILE", help="File with both headers, one on each line.")
    ] = None,
    key_env: KeyOption = None,
    json: JsonOption = False,
) -> None:
    """Check a body's signature, and say why it is wrong.

    Exit status 0: the webhook would accept it; 1: it would not.

    Example: supatoss verify body.json --headers headers
    """
    from supatoss.cli.sending import SigningKeys
    from supatoss.toss.delivery import SIGNATURE_HEADER, TIME_HEADER, Delivery
    from supatoss.toss.signature import Keys, SignatureCheck
    from supatoss.toss.tampering import diagnose

    given = _headers_in(headers) if headers else {}
    signature = signature if signature is not None else given.get(SIGNATURE_HEADER)
    sent_at = sent_at if sent_at is not None else given.get(TIME_HEADER)
    delivery = Delivery(read_bytes(file), _bytes(signature, "--signature"), _bytes(sent_at, "--time"))
    keys = SigningKeys.read(key_env)
    found = diagnose(delivery, Keys(keys.secret_keys, keys.security_keys))
    key = None
    if found.is_valid:
        key = keys.secret_name if found.check is SignatureCheck.HEX else keys.security_name
    if json:
        print_json(
            {
                "valid": found.is_valid,
                "result": found.result,
                "form": found.check,
                "key": key,
                "key_number": found.key_number,
                "tamperings": found.tamperings,
                "explanation": found.explanation,
            }
        )
    elif found.is_valid:
        typer.echo(f"valid: {found.explanation} ({key}, key {found.key_number})")
    else:
        typer.echo(f"invalid: {found.explanation}")
    raise typer.Exit(ExitStatus.OK if found.is_valid else ExitStatus.FOUND)


def _bytes(value: str | None, option: str) -> bytes | None:
    try:
        return None if value is None else value.encode("latin-1")
    except UnicodeEncodeError:
        raise typer.BadParameter(
            "must be a header value: Latin letters, digits and punctuation", param_hint=option
        ) from None


def _headers_in(file: Path) -> dict[str, str]:
    """Name and value of each `name: value` line; other lines are skipped, as in a copied request."""
    lines = read_bytes(file).decode("latin-1").splitlines()
    parts = [line.partition(":") for line in lines if ":" in line]
    return {name.strip().lower(): value.strip() for name, _, value in parts}
