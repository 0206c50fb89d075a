"""What the service may call is what it calls."""

from supatoss.store.client import Function
from tests.database.support import Database


def test_the_service_may_call_its_functions_and_no_others(database: Database) -> None:
    rows = database.rows(
        """select p.proname from pg_proc p
           where p.pronamespace = 'public'::regnamespace and has_function_privilege('service_role', p.oid, 'execute')"""
    )
    assert {row["proname"] for row in rows} == set(Function)
