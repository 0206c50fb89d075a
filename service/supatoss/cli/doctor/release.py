"""`supatoss doctor --release`: what a new release can't run without, checked before the running one is replaced.

Toss, the public address and the alerts are left out: their problems affect the running release too, and a deployment
may be the fix.
"""

import asyncio

from supatoss.cli.doctor import Verdict, failed, ok
from supatoss.cli.doctor.access import ARGUMENTS
from supatoss.cli.doctor.checks import check_database
from supatoss.cli.doctor.token import check_token
from supatoss.errors import SchemaMismatch, StoreError, StoreRefused
from supatoss.settings import Settings
from supatoss.store import Store
from supatoss.store.client import OWNER_FUNCTIONS, Function

FUNCTIONS = "functions"
WRITING = "writing"
CALLS_AT_ONCE = 8
NO_RIGHT = "SQLSTATE 42501"


async def check_release(settings: Settings, store: Store) -> list[Verdict]:
    """The token, the schema, every function that this release calls, and a write."""
    found = [*await check_token(settings), *await check_database(settings, store)]
    if any(verdict.level == "failed" for verdict in found):
        return found
    return [*found, await check_functions(store), await _check_write(store)]


async def check_functions(store: Store) -> Verdict:
    """Calls each function with arguments that change nothing. Most refuse them, which shows that they can be called."""
    places = asyncio.Semaphore(CALLS_AT_ONCE)

    async def problem(function: Function) -> str | None:
        async with places:
            try:
                await store.call(function, ARGUMENTS[function], lambda _answer: None, tries=2)
            except SchemaMismatch as error:
                return f"{function}: {error}"
            except StoreRefused as error:
                return f"{function}: {error}" if NO_RIGHT in str(error) else None
            except StoreError as error:
                return f"{function}: {error}"
        return None

    wanted = [function for function in Function if function not in OWNER_FUNCTIONS]
    problems = [line for line in await asyncio.gather(*map(problem, wanted)) if line]
    if problems:
        fix = "run the migrations of this release first (docs/deployment.md), then deploy again"
        return failed(FUNCTIONS, "; ".join(problems[:3]) + ("; …" if len(problems) > 3 else ""), fix)
    return ok(FUNCTIONS, f"all {len(wanted)} that this release needs can be called")


async def _check_write(store: Store) -> Verdict:
    try:
        await store.check_write()
    except StoreError as error:
        return failed(WRITING, f"nothing can be written: {error}", error.remedy or "see the database's logs")
    return ok(WRITING, "a row can be written")
