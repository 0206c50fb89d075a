import json
import math
import random
from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path

import pytest

from benchmarks.latency import summarise
from benchmarks.measure import Load, Measurement
from benchmarks.peers.capture import Call
from benchmarks.queueing.alternatives import Alternative
from benchmarks.queueing.arrivals import poisson, sale, steady
from benchmarks.queueing.costs import Costs, Line, Storage, fit
from benchmarks.queueing.kept import read, to_json
from benchmarks.queueing.loads import Measured
from benchmarks.queueing.machine import Clock, Cores, EventLoop
from benchmarks.queueing.measured import merge
from benchmarks.queueing.service import ANSWER_DEADLINE_SECONDS, Batching
from benchmarks.queueing.system import TOSS_WAITS_SECONDS, Machines, Sender, simulate
from benchmarks.report import END, with_figures
from benchmarks.simulate import BEGIN, DOCUMENT
from supatoss.inbox.budget import QUEUE_PER_PLACE
from supatoss.inbox.recorder import MAX_BATCH_EVENTS, MAX_HELD_SECONDS, MAX_IN_FLIGHT, MAX_WAITING
from supatoss.toss.ratelimit import TOSS

FREE = Line(0.0, 0.0)
NOTHING = Costs(receive=0.0, answer=0.0, call=0.0, api=FREE, postgres=FREE, wait=FREE)
TYPICAL = Costs(
    receive=0.0002,
    answer=0.0001,
    call=0.001,
    api=Line(0.001, 0.00007),
    postgres=Line(0.001, 0.00015),
    wait=Line(0.002, 0.0),
    residuals=(-0.0005, 0.0, 0.001, 0.02),
)
ONE_BY_ONE = Batching(max_events=1, max_in_flight=1)


def _pollaczek_khinchine(rate: float, seconds: float) -> float:
    """Mean time in an M/D/1 queue, service included."""
    load = rate * seconds
    return seconds + load * seconds / (2 * (1 - load))


@pytest.mark.parametrize("load", [0.4, 0.7])
@pytest.mark.parametrize(
    "costs",
    [replace(NOTHING, postgres=Line(0.01, 0.0)), replace(NOTHING, wait=Line(0.0, 0.01))],
    ids=["PostgreSQL", "the disk"],
)
def test_one_event_a_call_waits_as_long_as_in_an_m_d_1_queue(costs: Costs, load: float) -> None:
    rate = load / 0.01

    found = simulate(costs, Machines(), poisson(lambda _: rate, rate, 10_000 / rate, seed=1), rules=ONE_BY_ONE)

    mean = sum(found.latencies) / len(found.latencies)
    assert mean == pytest.approx(_pollaczek_khinchine(rate, 0.01), rel=0.05)


def test_deliveries_are_read_one_after_the_other_as_in_an_m_d_1_queue() -> None:
    clock = Clock()
    loop = EventLoop(clock, Cores(clock, 1, {}))
    times: list[float] = []

    def arrive(moment: float) -> None:
        loop.arrive(0.01, lambda: times.append(clock.now - moment))

    for moment in poisson(lambda _: 70.0, 70.0, 150.0, seed=1):
        clock.after(moment, partial(arrive, moment))
    clock.run()

    assert sum(times) / len(times) == pytest.approx(_pollaczek_khinchine(70.0, 0.01), rel=0.05)


def test_threads_share_the_cores_of_a_machine() -> None:
    clock = Clock()
    ended: dict[str, float] = {}
    cores = Cores(clock, 2, {})

    for name, seconds in (("a", 1.0), ("b", 1.0), ("c", 2.0)):
        cores.run(name, seconds, partial(lambda name: ended.update({name: clock.now}), name))
    clock.run()

    # Three threads run at two thirds until two have done 1 s each (at 1.5 s); the third then has a core to itself.
    assert ended == pytest.approx({"a": 1.5, "b": 1.5, "c": 2.5})


@pytest.mark.parametrize("rate", [1.0, 500.0, 20_000.0])
@pytest.mark.parametrize("machines", [Machines(2), Machines(1, shared_cores=2, api_threads=1)], ids=["two", "shared"])
def test_every_delivery_is_answered_once(machines: Machines, rate: float) -> None:
    found = simulate(TYPICAL, machines, steady(rate, 8000))

    assert found.statuses.total() == 8000
    assert len(found.latencies) == found.statuses[200]
    assert found.statuses[200] <= sum(found.batches)
    assert max(found.latencies) <= ANSWER_DEADLINE_SECONDS
    assert bool(found.statuses[503]) is (rate == 20_000.0)


def test_what_is_refused_comes_again_when_toss_retries_until_it_is_stored() -> None:
    found = simulate(TYPICAL, Machines(), steady(20_000.0, 4000), Sender(waits=TOSS_WAITS_SECONDS))

    assert found.statuses[200] == len(found.stored_after) == 4000
    assert found.statuses[503] > 0
    assert 60 < max(found.stored_after) < 60 + ANSWER_DEADLINE_SECONDS


def test_the_same_seed_gives_the_same_answers_and_another_one_others() -> None:
    def latencies(seed: int) -> Sequence[float]:
        arrivals = poisson(sale(100.0, 20.0, 1.0, 2.0), 2000.0, 5.0, seed)
        return simulate(TYPICAL, Machines(2), arrivals, seed=seed).latencies

    assert latencies(3) == latencies(3)
    assert latencies(3) != latencies(4)


def test_a_lone_delivery_is_written_at_once_and_those_that_arrive_meanwhile_together() -> None:
    costs = replace(NOTHING, wait=Line(1.0, 0.0))

    found = simulate(costs, Machines(), [0.0, *(0.1 for _ in range(50)), *(0.2 for _ in range(150))])

    assert found.batches == [1, 50, 100, 50]
    assert MAX_IN_FLIGHT == 2
    assert found.latencies[0] == pytest.approx(1.0)


def test_fewer_than_half_of_those_in_flight_wait_for_the_next_call_but_not_for_a_slow_one() -> None:
    costs = replace(NOTHING, wait=Line(1.0, 0.0))

    found = simulate(costs, Machines(), [*(0.0 for _ in range(MAX_BATCH_EVENTS)), *(0.5 for _ in range(5))])

    assert found.batches == [MAX_BATCH_EVENTS, 5]
    assert found.latencies[-1] == pytest.approx(1.0 + MAX_HELD_SECONDS)


def test_unsigned_deliveries_wait_for_one_of_the_look_ups_that_a_process_may_have_under_way() -> None:
    arrivals = [0.0 for _ in range(2 * TOSS.in_flight)]

    found = simulate(NOTHING, Machines(toss_seconds=0.2), arrivals)

    assert found.latencies == pytest.approx([0.2] * TOSS.in_flight + [0.4] * TOSS.in_flight)


def test_unsigned_deliveries_beyond_those_that_may_wait_for_a_look_up_are_refused_at_once() -> None:
    places = TOSS.in_flight * QUEUE_PER_PLACE

    found = simulate(NOTHING, Machines(toss_seconds=0.2), [0.0] * (places + 5))

    assert found.statuses == {200: places, 503: 5}
    assert found.lost == 5
    assert max(found.latencies) == pytest.approx(0.2 * QUEUE_PER_PLACE)


def test_a_process_refuses_what_it_has_no_place_for() -> None:
    costs = replace(NOTHING, wait=Line(0.5, 0.0))
    arrivals = [0.0 for _ in range(MAX_IN_FLIGHT * MAX_BATCH_EVENTS)] + [0.1 for _ in range(MAX_WAITING + 1)]

    found = simulate(costs, Machines(), arrivals)

    assert found.statuses == {200: len(arrivals) - 1, 503: 1}


def test_answers_later_than_the_deadline_are_503() -> None:
    found = simulate(replace(NOTHING, wait=Line(9.0, 0.0)), Machines(), [0.0, 0.0, 1.0])

    assert found.statuses == {503: 3}


def test_what_was_answered_503_while_it_waited_is_not_written() -> None:
    found = simulate(replace(NOTHING, wait=Line(3.0, 0.0)), Machines(), [0.0] * 5, rules=ONE_BY_ONE)

    assert found.statuses == {200: 2, 503: 3}
    assert found.batches == [1, 1, 1]


def test_a_connection_carries_one_delivery_at_a_time_and_latency_counts_from_when_it_was_due() -> None:
    found = simulate(replace(NOTHING, wait=Line(1.0, 0.0)), Machines(), [0.0, 0.5], Sender(connections=1))

    assert found.latencies == [pytest.approx(1.0), pytest.approx(1.5)]


def test_in_a_closed_loop_every_connection_sends_its_next_delivery_after_its_last_answer() -> None:
    costs = replace(NOTHING, wait=Line(1.0, 0.0))

    found = simulate(costs, Machines(), [0.0] * 40, Sender(connections=4, is_closed=True))

    assert found.latencies == pytest.approx([1.0] * 40)
    assert found.seconds == pytest.approx(10.0)
    assert found.batches == [4] * 10


def test_arrivals_follow_the_rate() -> None:
    rate_at = sale(50.0, 20.0, begins=10.0, half_life=5.0)
    arrivals = list(poisson(rate_at, 1000.0, 40.0, seed=2))

    assert arrivals == sorted(arrivals)
    assert [rate_at(9.0), rate_at(10.0), rate_at(15.0)] == [50.0, 1000.0, 525.0]
    expected = 50.0 * 40 + 950.0 * 5 / math.log(2) * (1 - 0.5**6)
    assert len(arrivals) == pytest.approx(expected, rel=0.03)
    assert list(steady(4.0, 3)) == [0.0, 0.25, 0.5]


def test_a_line_is_found_again_from_noisy_times() -> None:
    rng = random.Random(1)  # noqa: S311 - repeatable on purpose
    times = [(events, (0.003 + 0.0002 * events) * rng.uniform(0.95, 1.05)) for events in (1, 8, 32, 100) * 20]

    found = fit(times)

    assert found.base == pytest.approx(0.003, rel=0.05)
    assert found.per_event == pytest.approx(0.0002, rel=0.05)


def test_figures_are_read_as_they_were_kept(tmp_path: Path) -> None:
    file = tmp_path / "simulate-20261126T000000Z.json"
    costs = replace(TYPICAL, residuals=list(TYPICAL.residuals))
    storage = Storage(1.0, 2.0, 1.5, 3.0, 0.5, 0.1)
    load = Load(256, 30.0, 30_000, 1000.0)
    other = Alternative("another way", 0.00005, 2000.0, 2500.0)
    measurement = Measurement(
        load, summarise([200] * 10, [0.01] * 10, 0.01, 0.1), {"service": 0.5}, {"service": 80.0}, []
    )
    file.write_text(json.dumps(to_json(costs, storage, [Measured(load, measurement, 0.1)], [other])))

    assert read(file) == (costs, storage, [Measured(load, measurement, 0.1)], [other])


def test_the_document_has_a_place_for_the_figures() -> None:
    text = with_figures(DOCUMENT.read_text(encoding="utf-8"), "| new |", BEGIN)

    assert f"{BEGIN}\n| new |\n{END}" in text


@pytest.mark.parametrize(
    ("bodies", "merged"),
    [
        ([b'{"events":"[{\\"a\\":1}]"}', b'{"events":"[{\\"a\\":2}]"}'], b'{"events":"[{\\"a\\":1},{\\"a\\":2}]"}'),
        ([b'{"events":[{"a":1}]}', b'{"events":[{"a":2}]}'], b'{"events":[{"a":1},{"a":2}]}'),
    ],
)
def test_captured_calls_are_merged_into_one(bodies: list[bytes], merged: bytes) -> None:
    assert merge([Call("/rpc", {}, body) for body in bodies]).body == merged
