"""Every query of the dashboard is one that Prometheus takes, about series that the service exports."""

import json
from math import isnan
from pathlib import Path
from typing import Any

import pytest
import yaml  # type: ignore[import-untyped]

from tests.monitoring.promtool import DOCS, Promtool, Story
from tests.monitoring.series import Exported, groupings, selectors

PANELS: list[dict[str, Any]] = json.loads((DOCS / "grafana-dashboard.json").read_text(encoding="utf-8"))["panels"]
QUERIES = {f"{panel['id']}{target['refId']}": target["expr"] for panel in PANELS for target in panel["targets"]}
EMPTY_WHEN_ALL_IS_WELL = {
    "1A": "no alert is open",
    "6A": "nothing was refused and nothing failed",
    "6B": "no refusal was too many for their log",
    "6C": "no connection was closed",
    "13A": "RECONCILE_AT is not set",
}


def test_every_query_is_one_that_prometheus_takes(promtool: Promtool, tmp_path: Path) -> None:
    records = [{"record": f"panel:{name}", "expr": query} for name, query in QUERIES.items()]
    rules = tmp_path / "queries.yml"
    rules.write_text(yaml.safe_dump({"groups": [{"name": "dashboard", "rules": records}]}))
    assert promtool.check_rules(rules) == ""


def test_every_line_has_a_name() -> None:
    """Grafana would show the query."""
    assert [target["expr"] for panel in PANELS for target in panel["targets"] if not target["legendFormat"]] == []


@pytest.mark.parametrize("name", QUERIES)
def test_a_query_uses_only_what_the_service_exports(exported: Exported, name: str) -> None:
    query = QUERIES[name]
    assert [problem for selector in selectors(query) for problem in exported.problems(selector)] == []
    for label in groupings(query) - {"le"}:
        for selector in selectors(query):
            assert all(label in labels for labels in exported.series[selector.name])


def test_a_panel_shows_something_where_all_is_well(promtool: Promtool, exported: Exported) -> None:
    series = {name: f"{value}x5" for name, value in exported.values.items() if not isnan(value)}
    for name, query in QUERIES.items():
        rule = {"alert": "empty", "expr": f"absent({query})", "labels": {}, "annotations": {}}
        fires = [5] if name in EMPTY_WHEN_ALL_IS_WELL else []
        assert promtool.tell(Story(series, fires=fires, quiet=[] if fires else [5]), rule) == "", query


@pytest.mark.parametrize(
    ("series", "number"),
    [
        ({}, 0),
        ({'supatoss_events_failed_total{reason="amount_mismatch"}': "0x10 27x49"}, 27),
        ({'supatoss_attempts_total{reason="unavailable",status="failed"}': "0x10 5x49"}, 5),
        (
            {
                'supatoss_events_failed_total{reason="amount_mismatch"}': "0x10 27x49",
                'supatoss_attempts_total{reason="unavailable",status="failed"}': "0x10 5x49",
                'supatoss_attempts_total{reason="",status="processed"}': "0x10 9x49",
            },
            32,
        ),
    ],
)
def test_the_panel_of_events_that_need_a_person_counts_those_of_deliveries_and_of_the_worker(
    promtool: Promtool, exported: Exported, series: dict[str, str], number: int
) -> None:
    # As a process exports them from its start: before the first failure of a kind there is a zero.
    assert all(exported.values[name] == 0 for name in series if "processed" not in name)
    assert promtool.compute(series, QUERIES["3A"], 60, [{"labels": "{}", "value": number}]) == ""
