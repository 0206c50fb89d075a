"""What the service may call is what it calls, and what earlier releases call that still run on this schema."""

from supatoss.store.client import Function
from tests.database.support import Database
from tests.released.kept import functions_of_kept_releases


def test_the_service_may_call_its_functions_and_no_others(database: Database) -> None:
    rows = database.rows(
        """select p.proname from pg_proc p
           where p.pronamespace = 'public'::regnamespace and has_function_privilege('service_role', p.oid, 'execute')"""
    )
    assert {row["proname"] for row in rows} == {function.value for function in Function} | functions_of_kept_releases()
