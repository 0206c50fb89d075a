from benchmarks.trace import Call, Sampler, _busy_table, _calls_table, _timeline

MS = 1_000_000
CALLS = [Call(0, 10 * MS, 32, 2 * MS), Call(5 * MS, 20 * MS, 64, 4 * MS)]


def test_calls_are_summed_up_and_those_under_way_at_once_are_counted() -> None:
    table = _calls_table(CALLS)

    assert "| events a call | 48.0 | 64.0 | 64.0 |" in table
    assert "| ms under way | 12.5 | 15.0 | 15.0 |" in table
    assert table.endswith("share of the time: 1: 75%, 2: 25%")


def test_a_slice_has_the_share_of_it_that_each_group_had_a_processor() -> None:
    sampler = Sampler({"service": [], "api": []})
    sampler.times, sampler.used = [0, 2 * MS, 4 * MS], {"service": [0, 2 * MS, 3 * MS], "api": [0, 0, MS]}
    slices = list(sampler.slices())

    assert slices == [(0, {"service": 1.0, "api": 0.0}), (2 * MS, {"service": 0.5, "api": 0.5})]
    assert "cores: service 0.75, api 0.25; all 1.00" in _busy_table(slices)
    assert "| service + api | 50% |" in _busy_table(slices)
    assert _timeline(slices, CALLS).splitlines() == ["  service █▄", "      api  ▄", "    calls 11"]
