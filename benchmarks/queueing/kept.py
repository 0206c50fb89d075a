"""The figures of a run as JSON, and read again to predict without measuring."""

import json
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from benchmarks.latency import Report
from benchmarks.measure import Load, Measurement
from benchmarks.queueing.alternatives import Alternative
from benchmarks.queueing.costs import Costs, Line, Storage
from benchmarks.queueing.loads import Measured


def to_json(
    costs: Costs, storage: Storage, measured: Sequence[Measured], alternatives: Sequence[Alternative]
) -> dict[str, Any]:
    """For a file of `.local/bench/`."""
    return {
        "costs": asdict(costs),
        "storage": asdict(storage),
        "measured": [asdict(one) for one in measured],
        "alternatives": [asdict(one) for one in alternatives],
    }


def read(file: Path) -> tuple[Costs, Storage, list[Measured], list[Alternative]]:
    """From such a file."""
    kept = json.loads(file.read_text(encoding="utf-8"))
    lines = {name: Line(**kept["costs"][name]) for name in ("api", "postgres", "wait")}
    return (
        Costs(**{**kept["costs"], **lines}),
        Storage(**kept["storage"]),
        [_measured(one) for one in kept["measured"]],
        [Alternative(**one) for one in kept["alternatives"]],
    )


def _measured(kept: dict[str, Any]) -> Measured:
    found = kept["measurement"]
    loaded = {"load": Load(**found["load"]), "report": Report(**found["report"])}
    return Measured(Load(**kept["load"]), Measurement(**{**found, **loaded}), kept["others"])
