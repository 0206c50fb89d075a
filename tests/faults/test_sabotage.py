"""The suite itself is tried: whoever breaks a promise is found out."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace

import psycopg
import pytest
from psycopg.rows import dict_row

from tests.faults.catalogue import FAULTS
from tests.faults.mix import make_mix
from tests.faults.oracle import expect
from tests.faults.outages import DISK_FULL, NO_TRIGGER
from tests.faults.trial import Fault, Trial, attempt
from tests.faults.verdict import Verdict, compare
from tests.faults.world import World

EVENTS = 60
TIMEOUT_SECONDS = 60.0
HOPELESS_SECONDS = 3.0
"""Where not everything will ever be acknowledged."""

_DROP_KEY = "drop index webhook_events_event_key_key"
_ADD_KEY = "create unique index webhook_events_event_key_key on webhook_events (event_key) where event_key is not null"
_STORE = "supatoss.store_events(jsonb[])"
_HEEDED = "on conflict (event_key) where event_key is not null do nothing"


async def _nothing(_trial: Trial) -> None:
    pass


CALM = Fault("none", _nothing)
WITHOUT_KEY = replace(CALM, ready="/healthz")  # /readyz says that the key is missing.


def fault_named(start: str) -> Fault:
    (found,) = (fault for fault in FAULTS if fault.name.startswith(start))
    return found


@contextmanager
def without_key(world: World) -> Iterator[None]:
    world.execute(_DROP_KEY)
    try:
        yield
    finally:
        world.clear()
        world.execute(_ADD_KEY)


@contextmanager
def without_heed(world: World) -> Iterator[None]:
    """Storing events no longer asks for the key."""
    ((definition,),) = world.execute("select pg_get_functiondef(%s::regprocedure)", _STORE)
    assert _HEEDED in definition
    world.execute(definition.replace(_HEEDED, ""))
    try:
        yield
    finally:
        world.execute(definition)


def test_without_the_unique_key_nothing_is_acknowledged(world: World) -> None:
    with without_key(world):
        result = attempt(world, WITHOUT_KEY, EVENTS, HOPELESS_SECONDS)
    assert result.acknowledged == 0
    assert not result.is_clean


def test_without_the_unique_key_and_the_clause_that_needs_it_events_are_doubled(world: World) -> None:
    with without_key(world), without_heed(world):
        result = attempt(world, WITHOUT_KEY, EVENTS, HOPELESS_SECONDS)
    assert [line for line in result.verdict.doubled if line.startswith("event 0")]
    assert "an event that is stored past the function" in result.verdict.doubled
    assert not result.is_clean


@pytest.fixture
def slow_answers(world: World) -> Iterator[None]:
    world.data_api.delay_seconds = 0.5
    yield
    world.data_api.delay_seconds = 0.0


@pytest.mark.usefixtures("slow_answers")
def test_a_service_that_answers_before_it_writes_is_found_out_when_it_is_killed(world: World) -> None:
    fault = replace(fault_named("service killed"), command=("tests.faults.early",))
    result = attempt(world, fault, 4 * EVENTS, TIMEOUT_SECONDS)
    assert [line for line in result.verdict.lost if line.endswith("right after its 200")]
    assert not result.is_clean


@pytest.fixture
def full_disk(world: World) -> Iterator[None]:
    world.execute(DISK_FULL)
    yield
    world.execute(NO_TRIGGER)


@pytest.mark.usefixtures("full_disk")
def test_a_service_that_answers_before_it_writes_is_found_out_when_the_disk_is_full(world: World) -> None:
    result = attempt(world, replace(CALM, command=("tests.faults.early",)), EVENTS, TIMEOUT_SECONDS)
    assert result.acknowledged == result.deliveries
    assert len(result.verdict.lost) > result.events  # the events, and the rows that they should have made


ONE_EVENT = "payload ->> 'faultId' = '000007'"

DAMAGE = {
    f"delete from webhook_events where {ONE_EVENT}": "lost",
    f"update webhook_events set delivery_count = 2 where {ONE_EVENT}": "lost",
    "delete from payments where order_id = 'fault-000001'": "lost",
    "delete from settlements where settlement_key = 'payout:fault-payout-000000'": "lost",
    f"insert into webhook_events (event_type, payload) select 'x', payload from webhook_events where {ONE_EVENT}": (
        "doubled"
    ),
    f"update webhook_events set status = 'pending', processed = false where {ONE_EVENT}": "wrong",
    "insert into payments (payment_key, order_id, order_name, amount, payment_status)"
    " values ('k', 'o', 'n', 1, 'DONE')": "wrong",
    "update payments set balance_amount = balance_amount + 1 where order_id = 'fault-000001'": "wrong",
    "update payments set approved_at = approved_at + interval '1 s' where order_id = 'fault-000001'": "wrong",
    "update subscriptions set status = 'PAUSED' where customer_key = 'fault-customer-000000'": "wrong",
}


def test_every_kind_of_damage_is_seen(world: World) -> None:
    assert attempt(world, WITHOUT_KEY, EVENTS, TIMEOUT_SECONDS).is_clean
    expected = expect(make_mix(EVENTS))
    acknowledged = dict.fromkeys(expected.events, 3)
    with psycopg.connect(world.dsn, row_factory=dict_row, autocommit=True) as connection:
        for damage, kind in DAMAGE.items():
            with connection.transaction(force_rollback=True):
                assert connection.execute(damage).rowcount == 1, damage
                assert getattr(compare(connection, expected, acknowledged), kind), damage
        assert compare(connection, expected, acknowledged) == Verdict()
