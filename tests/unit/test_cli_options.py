"""The filter's options, which several commands share."""

import pytest
import typer
from typer.testing import CliRunner

from supatoss.cli.options import takes_filter
from supatoss.store.events import EventFilter

CHOSEN = (
    *("--status", "failed", "--status", "pending", "--type", "DEPOSIT_CALLBACK", "--with-reason", "amount_mismatch"),
    *("--order", "order-1", "--payment-key", "key-1"),
)
PERIOD = ("--since", "2026-03-14", "--until", "2026-03-15T00:00Z")


def run(*arguments: str, has_period: bool) -> tuple[int, list[tuple[str, EventFilter, bool]]]:
    seen: list[tuple[str, EventFilter, bool]] = []
    app = typer.Typer()

    @app.command()
    @takes_filter(has_period=has_period)
    def command(name: str, *, wanted: EventFilter, json: bool = False) -> None:
        seen.append((name, wanted, json))

    return CliRunner().invoke(app, ["list", *arguments]).exit_code, seen


def test_a_command_gets_the_filter_that_its_options_describe() -> None:
    status, seen = run(*CHOSEN, *PERIOD, "--json", has_period=True)
    ((name, wanted, is_json),) = seen
    assert (status, name, is_json) == (0, "list", True)
    assert (wanted.statuses, wanted.types) == (("failed", "pending"), ("DEPOSIT_CALLBACK",))
    assert (wanted.reasons, wanted.order_id, wanted.payment_key) == (("amount_mismatch",), "order-1", "key-1")
    moments = [moment and moment.isoformat() for moment in (wanted.created_from, wanted.created_until)]
    assert moments == ["2026-03-13T15:00:00+00:00", "2026-03-15T00:00:00+00:00"]


def test_without_options_the_filter_is_empty() -> None:
    assert run(has_period=True) == run(has_period=False) == (0, [("list", EventFilter(), False)])


@pytest.mark.parametrize("arguments", [PERIOD[:2], PERIOD[2:]])
def test_a_command_without_the_period_has_no_such_options(arguments: tuple[str, ...]) -> None:
    assert run(*arguments, has_period=False) == (2, [])
