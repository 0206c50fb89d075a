"""The benchmark of unsigned deliveries, in small, and its parts: the stand-in for Toss, the orders, the oracle."""

import json
from collections.abc import Iterator

import pytest

from benchmarks.measure import Load
from benchmarks.orders import looked_up, shown_by_toss
from benchmarks.peers.unsigned import COUNTING, Proof, Receiver
from benchmarks.real_path import Plan, RealPath, row
from benchmarks.stack import DURABLE, Backend, Stack
from benchmarks.workload import OrderMix, plan

SMALL = Plan(
    toss_milliseconds=(5,),
    connections=4,
    seconds=1.0,
    rate=20.0,
    warm_up_seconds=1.0,
    deliveries=40,
    signed_deliveries=40,
    burst=40,
    after_burst_seconds=1.0,
)


@pytest.fixture(scope="module")
def stack() -> Iterator[Stack]:
    with Stack(warm_up_calls=10, settings={**DURABLE, **COUNTING}) as started:
        yield started


@pytest.mark.slow
def test_every_receiver_is_measured_and_every_unsigned_delivery_asks_toss_once(stack: Stack) -> None:
    figures = list(RealPath(stack, SMALL, lambda _line: None).figures())

    assert [problem for figure in figures for problem in figure.problems] == []
    assert {figure.peer for figure in figures} == {
        "supatoss, signed",
        "supatoss, unsigned",
        "the guide's function, Deno, unsigned",
        "supatoss, unsigned, from an address that Toss doesn't publish",
    }
    signed, unsigned = figures[0], figures[2]
    assert signed.questions == 0
    assert unsigned.questions == unsigned.measurement.report.sent == 40
    assert unsigned.calls > 0
    guide = next(figure for figure in figures if figure.peer.startswith("the guide's"))
    assert guide.calls == 3 * guide.measurement.report.sent
    assert "| 5 ms |" in row(unsigned)


def test_deliveries_about_one_payment_are_one_event_and_the_oracle_sees_what_is_wrong(stack: Stack) -> None:
    sendings = plan(60, 0.5, OrderMix.MIXED, seed=7)
    rows = stack.project(Backend.POSTGRES).rows
    with Receiver(Proof.TOSS_ADDRESS, 20).start(stack, sendings) as running:
        running.reset()
        report = running.drive(Load(8, 30.0, count=50))
        assert running.verify(report) == []
        assert 0 < running.questions <= report.sent == 50
        assert 0 < running.calls <= 50

        rows.execute("delete from webhook_events where id = (select id from webhook_events limit 1)")
        rows.execute("update payments set amount = amount + 1 where payment_status = 'DONE'")
        rows.execute("delete from payments where payment_status = 'PENDING'")
        problems = running.verify(report)

    assert {problem.split(":")[0] for problem in problems} == {"lost", "wrong"}
    assert any("orders are as they were" in problem for problem in problems)


def test_toss_shows_a_payment_as_it_is_in_the_end() -> None:
    sendings = plan(40, 0.25, OrderMix.MIXED, seed=8)

    shown = shown_by_toss(sendings)
    events = looked_up(sendings, shown)

    assert [each.retried_count for each in events] == [each.retried_count for each in sendings]
    assert {each.body for each in events} == set(shown.values())
    newest = {key: max(_created_at(each.body) for each in sendings if _key(each.body) == key) for key in shown}
    assert newest == {key: _created_at(body) for key, body in shown.items()}


def _key(body: bytes) -> str:
    return str(json.loads(body)["data"]["paymentKey"])


def _created_at(body: bytes) -> str:
    return str(json.loads(body)["createdAt"])
