import pytest

from benchmarks import sql
from benchmarks.sql import Figures, to_markdown


def test_a_run_measures_every_situation(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    for name, value in {"WARM_UP_ROUNDS": 1, "BATCH": 2, "LONE_CALLS": 1}.items():
        monkeypatch.setattr(sql, name, value)

    assert sql.run(lambda _line: None, rounds=2) == 0

    printed = capsys.readouterr().out
    rows = {(cells := line.split("|"))[1].strip(): cells for line in printed.splitlines() if line.startswith("|")}
    for situation in ("new order, paid", "new order, account issued", "deposit paid", "payment cancelled", "duplicate"):
        assert float(rows[situation][2]) > 0
    assert int(rows["lone new order"][4].replace(",", "")) > 1000
    assert "`supatoss.store_events`" in rows


def test_the_table_has_medians_goals_and_functions() -> None:
    lone = Figures([0.3, 0.5, 9.0], [100.0, 4000.0, 5000.0], [40.0], 12)
    lone.functions["supatoss.fold"] += [0.001, 0.002, 0.003]

    table = to_markdown({"lone new order": lone})

    assert "| lone new order | 0.500 | 0.40 | 4,000 | 40 | 12 |" in table
    assert "| `supatoss.fold` | 2.0 |" in table
