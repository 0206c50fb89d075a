"""Figures of runs, kept in `.local/bench/`; those of a full run go into docs/performance.md and its chart."""

import datetime as dt
import json
import os
import platform
from pathlib import Path
from typing import Any

from benchmarks.chart import bars, draw
from benchmarks.comparison import Cell, reference
from benchmarks.latency import Report
from benchmarks.measure import Load, Measurement
from benchmarks.table import medians, to_markdown
from scripts.local_stack import ROOT, STATE, StackError

FOLDER = STATE / "bench"
DOCUMENT = ROOT / "docs" / "performance.md"
CHART = ROOT / "docs" / "performance.svg"
BEGIN, END = "<!-- figures: make bench BENCH=report -->", "<!-- end of figures -->"


def keep(kind: str, figures: Any) -> Path:
    """Writes the figures of a run; returns the file."""
    FOLDER.mkdir(parents=True, exist_ok=True)
    file = FOLDER / f"{kind}-{dt.datetime.now(dt.UTC):%Y%m%dT%H%M%SZ}.json"
    file.write_text(json.dumps(figures, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    return file


def newest(kind: str) -> Path:
    """The file of the newest run of a kind. FileNotFoundError if there is none."""
    files = sorted(FOLDER.glob(f"{kind}-*.json"))
    if not files:
        raise FileNotFoundError(f"no run of {kind} in {FOLDER}: make bench BENCH={kind}")
    return files[-1]


def write_report(run: Path | None = None) -> Path:
    """Puts the table of a run (the newest full one) into the document and its chart beside it; returns the document."""
    file = run or newest("full")
    cells = read_cells(file)
    table = to_markdown(medians(cells), reference)
    DOCUMENT.write_text(with_figures(DOCUMENT.read_text(encoding="utf-8"), f"{_run(file, cells)}\n\n{table}"), "utf-8")
    CHART.write_text(draw(bars(cells)), encoding="utf-8")
    return DOCUMENT


def with_figures(text: str, figures: str, begin_mark: str = BEGIN) -> str:
    """The document with new figures between its markers. StackError if it has no markers."""
    before, begin, rest = text.partition(begin_mark)
    _, end, after = rest.partition(END)
    if not begin or not end:
        raise StackError(f"the document has no place for figures: {begin_mark} … {END}")
    return f"{before}{begin}\n{figures}\n{end}{after}"


def read_cells(file: Path) -> list[Cell]:
    """The measurements of a run."""
    return [_cell(item) for item in json.loads(file.read_text(encoding="utf-8"))]


def _cell(item: dict[str, Any]) -> Cell:
    measurement = item["measurement"]
    return Cell(
        item["peer"],
        item["round"],
        Measurement(
            Load(**measurement["load"]),
            Report(**measurement["report"]),
            measurement["cores"],
            measurement["resident_mib"],
            measurement["problems"],
        ),
    )


def _run(file: Path, cells: list[Cell]) -> str:
    """When and on which machine it was measured."""
    rounds = max(cell.round for cell in cells)
    moment = file.stem.rpartition("-")[2]
    day = f"{moment[:4]}-{moment[4:6]}-{moment[6:8]}"
    machine = f"{platform.system()} on {platform.machine()}, {os.cpu_count()} cores for everything"
    return f"Measured on {day}, {machine}; {'one round' if rounds == 1 else f'medians of {rounds} rounds'}."
