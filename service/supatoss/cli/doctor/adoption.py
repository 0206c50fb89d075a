"""What is left to do in a project that had its tables before supatoss: access and times."""

from supatoss.cli.doctor import Verdict, ok, warning
from supatoss.errors import StoreError, StoreRefused
from supatoss.store import Store
from supatoss.store.adoption import SEOUL, UNCLEAR, OldTimes, OpenTable

ACCESS = "adopted tables, access"
TIMES = "adopted tables, times"


async def check_adoption(store: Store) -> list[Verdict]:
    """Nothing for a fresh project, or if the database doesn't answer: another verdict says so."""
    try:
        tables = await _open_tables(store)
        times = await store.old_times()
    except StoreError:
        return []
    return [
        *(
            warning(
                f"{ACCESS}: {table.table}",
                f"users can do more than in a fresh project ({len(table.statements)} statements restrict it)",
                "supatoss harden shows the statements and what they may break; --apply executes them",
            )
            for table in tables
        ),
        *_judge(times),
    ]


async def _open_tables(store: Store) -> list[OpenTable]:
    """Empty with a token of the service's own role, which isn't allowed to check."""
    try:
        return await store.harden(dry_run=True)
    except StoreRefused:
        return []


def _judge(times: OldTimes) -> list[Verdict]:
    evidence = {
        table.table: "; ".join(
            f"{column.column}: {column.evidence}"
            for column in times.columns
            if column.table == table.table and column.zone == SEOUL
        )
        for table in times.tables
    }
    left = [
        warning(
            f"{TIMES}: {table.table}",
            f"{table.rows:,} rows still hold Korean wall time as UTC, nine hours late ({evidence[table.table]})",
            "supatoss correct-times shows what would change; --apply corrects the rows in batches",
        )
        for table in times.tables
        if table.rows
    ]
    unclear = [
        warning(
            f"{TIMES}: {column.table}.{column.column}",
            f"read as UTC, but its zone is unclear ({column.evidence})",
            "compare some rows with Toss; docs/adoption.md says how to correct them by hand",
        )
        for column in times.columns
        if column.zone == UNCLEAR
    ]
    return left + unclear or ([ok(TIMES, "every row is in UTC")] if times.columns else [])
