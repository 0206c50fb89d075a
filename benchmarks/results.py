"""Figures of runs, kept in `.local/bench/` as JSON."""

import datetime as dt
import json
from pathlib import Path
from typing import Any

from scripts.local_stack import STATE

FOLDER = STATE / "bench"


def keep(kind: str, figures: Any) -> Path:
    """Writes the figures of a run; returns the file."""
    FOLDER.mkdir(parents=True, exist_ok=True)
    file = FOLDER / f"{kind}-{dt.datetime.now(dt.UTC):%Y%m%dT%H%M%SZ}.json"
    file.write_text(json.dumps(figures, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    return file


def newest(kind: str) -> Path:
    """The file of the newest run of a kind. FileNotFoundError when there is none."""
    files = sorted(FOLDER.glob(f"{kind}-*.json"))
    if not files:
        raise FileNotFoundError(f"no run of {kind} is kept in {FOLDER}: make bench BENCH={kind}")
    return files[-1]
