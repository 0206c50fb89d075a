"""The report of `supatoss uninstall`: what is removed, what stays, what to do by hand. Pure."""

from collections.abc import Iterator

from supatoss.cli.uninstall.project import Inventory, Table

UNKNOWN = """\
Removes: the functions, triggers and views of supatoss, the columns and indexes that only it uses, the schema supatoss
(alerts, reconciliations, operator actions, refused deliveries), and the role supatoss_service.
Keeps: payments, subscriptions, settlements and webhook_events with every row, and what Toss reported in them.
For the numbers of your project: --database-url, or SUPABASE_DB_URL."""
BY_HAND = (
    "the webhook's registration: developers.tosspayments.com > Webhook, in test and live",
    "the deployment and its secrets: fly apps destroy <app>",
    "the alerts' incoming webhook, and the key that the service used (Project Settings > API Keys)",
)


def lines(found: Inventory, *, delete_data: bool) -> Iterator[str]:
    """The report, line by line."""
    yield f"Removes supatoss (schema version {found.version}):"
    yield f"  {found.functions} functions, {found.triggers} triggers, views {', '.join(found.views)}"
    yield "  columns and indexes that only supatoss uses (event_key, status, attempts, projected_state, …)"
    yield f"  the schema supatoss{_records(found)}, and the role supatoss_service"
    yield from (f"  table {_named(table)}" for table in found.tables if table.is_dropped(delete_data=delete_data))
    if delete_data:
        yield "  what Toss reported, in adopted tables (balance_amount, cancels, virtual_account, …)"
    if restored := [table for table in found.tables if table.times]:
        yield "Restores:"
        yield from (f"  times without a zone in {table.name}: {', '.join(table.times)}" for table in restored)
        yield "  defaults, checks and comments of adopted tables"
    yield "Keeps:"
    yield from (f"  table {_named(table)}" for table in found.tables if not table.is_dropped(delete_data=delete_data))
    if not delete_data:
        yield "  what Toss reported, in its columns (balance_amount, cancels, virtual_account, …)"
    yield from (f"  your function {hook}, which supatoss no longer calls" for hook in found.hooks)
    yield from _notes(found)


def _records(found: Inventory) -> str:
    counted = [f"{rows:,} {name.replace('_', ' ')}" for name, rows in found.records.items()]
    return f", with {', '.join(counted)}" if counted else ""


def _named(table: Table) -> str:
    return f"{table.name}: {table.rows:,} row{'' if table.rows == 1 else 's'}"


def _notes(found: Inventory) -> Iterator[str]:
    if found.processes:
        running = ", ".join(found.processes)
        yield f"! the service is running ({running}): stop it first, or it answers deliveries with 503"
    if found.unfinished:
        yield (
            f"! pending or failed events: {found.unfinished:,}. They stay, but will not be applied any more;"
            " see supatoss events list --status failed"
        )
    if found.records:
        yield '! to save what is in the schema supatoss: pg_dump --schema=supatoss "$SUPABASE_DB_URL" > supatoss.sql'
    if found.opened:
        yield "! webhook_events was open to the publishable key before adoption, and stays closed. To open it again:"
        yield from (f"    {statement};" for statement in found.opened)


def by_hand(*, is_reverted: bool) -> Iterator[str]:
    """What no command can do."""
    yield "By hand:"
    yield from (f"  {item}" for item in BY_HAND)
    if is_reverted:
        yield "  delete our files (*_supatoss_*.sql) from your repository, or its next push installs supatoss again"
