import json
from dataclasses import asdict
from pathlib import Path
from xml.etree import ElementTree as ET

import pytest

from benchmarks.chart import bars, draw
from benchmarks.comparison import Cell, reference
from benchmarks.latency import percentile, summarise
from benchmarks.measure import Load, Measurement
from benchmarks.memory import slope_mib_an_hour
from benchmarks.report import BEGIN, DOCUMENT, END, read_cells, with_figures
from benchmarks.table import medians, to_markdown
from scripts.local_stack import StackError

OURS = "supatoss (PostgreSQL 18)"
DENO = "the guide's function, Deno (PostgreSQL 18)"


def _cell(peer: str, round_number: int, rate: float, connections: int = 64) -> Cell:
    report = summarise([200] * 10, [0.01] * 10, 10 / rate, 0.1)
    measurement = Measurement(Load(connections, 3.0), report, {"service": 0.5, "driver": 0.1}, {"service": 80.0})
    return Cell(peer, round_number, measurement)


CELLS = [_cell(OURS, 1, 900), _cell(DENO, 1, 90), _cell(OURS, 2, 1000), _cell(DENO, 2, 100), _cell(OURS, 3, 5000)]


def test_the_table_has_medians_and_ratios() -> None:
    lines = to_markdown(medians(CELLS), reference).splitlines()

    assert lines[0] == "| answers/s (p50 / p99 ms) | 64 connections | × at 64 | cores |"
    assert lines[2] == f"| {OURS} | 1,000 (10 / 10) | 10.5 | service 0.50, driver 0.10 |"
    assert lines[3] == f"| {DENO} | 95 (10 / 10) | 1.0 | service 0.50, driver 0.10 |"


def test_a_peer_on_pglite_is_compared_on_pglite() -> None:
    assert reference("supatoss (PGlite)") == "the guide's function, Deno (PGlite)"
    assert reference("bare Starlette + HMAC, no database") == DENO


def test_percentiles_are_nearest_ranks() -> None:
    values = [float(number) for number in range(1, 101)]

    assert [percentile(values, share) for share in (0.5, 0.99, 1.0)] == [51.0, 100.0, 100.0]
    assert percentile([], 0.5) == 0.0


def test_the_chart_is_well_formed_and_shows_every_peer() -> None:
    picture = ET.fromstring(draw(bars([*CELLS, _cell("a < b & c", 1, 3)])))  # noqa: S314 - made here

    texts = [element.text for element in picture.iter() if element.text]
    assert {OURS, DENO, "a < b & c", "1,000", "95", "3"} <= set(texts)


def test_kept_figures_are_read_as_they_were(tmp_path: Path) -> None:
    file = tmp_path / "full-20261125T000000Z.json"
    file.write_text(json.dumps([asdict(cell) for cell in CELLS]))

    assert medians(read_cells(file)) == medians(CELLS)


def test_figures_are_replaced_between_their_marks() -> None:
    text = f"before\n{BEGIN}\nold\n{END}\nafter"

    assert with_figures(with_figures(text, "new"), "newer") == f"before\n{BEGIN}\nnewer\n{END}\nafter"
    with pytest.raises(StackError, match="no place for figures"):
        with_figures("no marks", "new")


def test_the_document_has_figures() -> None:
    _, _, rest = DOCUMENT.read_text(encoding="utf-8").partition(BEGIN)

    assert "| supatoss (PostgreSQL 18) |" in rest.partition(END)[0]


def test_a_slope_is_taken_after_the_settling() -> None:
    settling = [(float(second), 50.0 + second) for second in range(0, 100, 5)]
    flat = [(float(second), 80.0) for second in range(100, 300, 5)]
    growing = [(float(second), 80.0 + second / 3600) for second in range(100, 300, 5)]

    assert slope_mib_an_hour([*settling, *flat]) == pytest.approx(0.0)
    assert slope_mib_an_hour([*settling, *growing]) == pytest.approx(1.0)
    assert slope_mib_an_hour([]) == 0.0
