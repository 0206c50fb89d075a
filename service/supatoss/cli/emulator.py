"""`supatoss emulator`: plays what can happen to a payment, with the Toss emulator of `make run`."""

from enum import StrEnum
from typing import Annotated, Any

import typer

from supatoss.cli.choices import check, completion
from supatoss.cli.output import ExitStatus, JsonOption, plain, print_json, print_table


class Story(StrEnum):
    """What can happen: the stories of scripts/emulator/stories.py, and `lose`, which loses the next webhooks."""

    PAY = "pay"
    ACCOUNT = "account"
    DEPOSIT = "deposit"
    DEPOSIT_ERROR = "deposit-error"
    CANCEL = "cancel"
    DOUBLE_CHARGE = "double-charge"
    SETTLE = "settle"
    ABORT = "abort"
    EXPIRE = "expire"
    OVERDUE = "overdue"
    LOSE = "lose"


def emulator(
    name: Annotated[
        str | None,
        typer.Argument(
            metavar="STORY",
            help=f"{', '.join(Story)}. Without one: list the payments.",
            autocompletion=completion(tuple(Story)),
        ),
    ] = None,
    order: Annotated[
        str | None,
        typer.Argument(
            metavar="ORDER", help="Order id; by default a new order, or the newest one that the story fits."
        ),
    ] = None,
    *,
    amount: Annotated[
        int | None,
        typer.Option("--amount", min=1, metavar="WON", help="Of a new payment (default: 9,900) or a cancel (all)."),
    ] = None,
    count: Annotated[int, typer.Option("--count", min=1, help="How many webhooks `lose` loses.")] = 1,
    json: JsonOption = False,
) -> None:
    """Play what can happen to a payment.

    The Toss emulator of `make run` then sends the webhooks.

    Example: supatoss emulator account && supatoss emulator deposit
    """
    from supatoss.cli.dotenv import load_dotenv, load_local_stack
    from supatoss.cli.emulated import call, require_emulator

    (story,) = map(Story, check("STORY", [name], tuple(Story))) if name else (None,)
    load_dotenv()
    load_local_stack()
    url = require_emulator()
    if story is None:
        _show_payments(call(url, "GET", "payments"), json=json)
        return
    if story is Story.LOSE:
        if order is not None:
            raise typer.BadParameter("lose takes no order: it loses the next webhooks of any order", param_hint="ORDER")
        answer = call(url, "POST", "webhooks/suppress", {"count": count})
        said = "the next webhook will be lost" if count == 1 else f"the next {count} webhooks will be lost"
        print_json(answer) if json else typer.echo(f"{said}; `supatoss reconcile` finds the difference")
        return
    asked = {"orderId": order, "amount": amount}
    played = call(url, "POST", f"stories/{story}", {name: value for name, value in asked.items() if value is not None})
    print_json(played) if json else _show(played)
    if any(webhook["status"] != 200 for webhook in played["webhooks"] if webhook["state"] != "suppressed"):
        raise typer.Exit(ExitStatus.FOUND)


def _show_payments(payments: list[dict[str, Any]], *, json: bool) -> None:
    from supatoss.readable import money

    if json:
        print_json(payments)
    elif not payments:
        typer.echo("no payments yet: supatoss emulator pay")
    else:
        rows = [
            (it["orderId"], money(it["totalAmount"], it["currency"]), it["status"], " ".join(it["stories"]))
            for it in payments
        ]
        print_table(("order", "amount", "status", "stories that fit"), rows)


def _show(played: dict[str, Any]) -> None:
    from supatoss.readable import money

    payment = played["payment"]
    amount, left = (money(payment[name], payment["currency"]) for name in ("totalAmount", "balanceAmount"))
    rest = f", {left} left" if payment["status"] == "PARTIAL_CANCELED" else ""
    typer.echo(plain(f"{payment['orderId']}  {amount}  {payment['method'] or '-'}  {payment['status']}{rest}"))
    for webhook in played["webhooks"]:
        answer = "lost" if webhook["state"] == "suppressed" else webhook["status"] or webhook["error"]
        typer.echo(plain(f"  {webhook['eventType']} → {webhook['url']}  {answer}"))
    if not played["webhooks"]:
        typer.echo("  no webhook")
