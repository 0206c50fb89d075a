"""What monitoring is made of names metrics that exist, and what exists is described."""

import json
import re
from pathlib import Path
from typing import Any

import pytest
import yaml  # type: ignore[import-untyped]
from prometheus_client import REGISTRY

import supatoss.app  # noqa: F401 - every metric is registered
from supatoss.alerts.rules import Rule
from supatoss.ops.texts import en, ko
from supatoss.telemetry import FAILURE_REASONS

DOCS = Path(__file__).parents[2] / "docs"
FURTHER_RULES = {"not_ready", "reconciliation_stale"}

RULES: list[dict[str, Any]] = [
    rule
    for group in yaml.safe_load((DOCS / "monitoring/alert-rules.yml").read_text(encoding="utf-8"))["groups"]
    for rule in group["rules"]
]
PANELS: list[dict[str, Any]] = json.loads((DOCS / "monitoring/grafana-dashboard.json").read_text(encoding="utf-8"))[
    "panels"
]


def families() -> set[str]:
    """Our metrics as queries name them, counters with _total."""
    return {
        f"{family.name}_total" if family.type == "counter" else family.name
        for family in REGISTRY.collect()
        if family.name.startswith("supatoss_")
    }


def named(expression: str) -> set[str]:
    return {re.sub(r"_(bucket|sum|count)$", "", name) for name in re.findall(r"\bsupatoss_\w+", expression)}


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule["alert"])
def test_an_alert_rule_asks_for_metrics_that_exist(rule: dict[str, Any]) -> None:
    assert named(rule["expr"])
    assert named(rule["expr"]) <= families()
    assert rule["labels"]["severity"] in ("page", "ticket")
    assert rule["annotations"]["summary"]


def test_there_is_an_alert_rule_for_every_invariant() -> None:
    assert {rule["alert"] for rule in RULES} == {rule.value for rule in Rule} | FURTHER_RULES


@pytest.mark.parametrize("document", ["runbook.md", "runbook.ko.md"])
@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule["alert"])
def test_every_alert_has_its_section_in_the_runbook(rule: dict[str, Any], document: str) -> None:
    assert rule["annotations"]["runbook"] == f"docs/runbook.md#{rule['alert']}"
    assert f"\n## {rule['alert']}\n" in (DOCS / document).read_text(encoding="utf-8")


@pytest.mark.parametrize(
    ("document", "texts", "page", "ticket"),
    [("runbook.md", en.TEXTS, "now", "today"), ("runbook.ko.md", ko.TEXTS, "바로", "오늘")],
)
def test_the_runbook_begins_with_all_alerts_as_the_page_calls_them(
    document: str, texts: dict[str, str], page: str, ticket: str
) -> None:
    text = (DOCS / document).read_text(encoding="utf-8")
    rows = dict(re.findall(r"^\| \[(\w+)\]\(#\1\) \| (.*) \|$", text, re.MULTILINE))
    assert rows.keys() == {rule["alert"] for rule in RULES}
    for rule in RULES:
        urgency = page if rule["labels"]["severity"] == "page" else ticket
        name = texts.get(f"rule.{rule['alert']}", rows[rule["alert"]].partition(" | ")[0])
        assert rows[rule["alert"]] == f"{name} | {urgency}"


@pytest.mark.parametrize("panel", PANELS, ids=lambda panel: panel["title"])
def test_a_panel_asks_for_metrics_that_exist(panel: dict[str, Any]) -> None:
    assert panel["targets"]
    for target in panel["targets"]:
        assert named(target["expr"])
        assert named(target["expr"]) <= families()


def test_failures_are_counted_from_zero_for_every_reason_that_the_runbook_names() -> None:
    text = (DOCS / "runbook.md").read_text(encoding="utf-8")
    (table,) = re.findall(r"\n## event_failed\n(.*?)\n## ", text, re.DOTALL)
    cells = " ".join(row.split("|")[1] for row in table.splitlines() if row.startswith("| `"))
    further = {"amount_mismatch", "approval_amount_mismatch", "double_charge"}
    assert set(FAILURE_REASONS) == {*re.findall(r"`(\w+)`", cells), *further}


@pytest.mark.parametrize("document", ["README.md", "README.ko.md"])
def test_every_metric_is_described(document: str) -> None:
    text = (DOCS / "monitoring" / document).read_text(encoding="utf-8")
    for metric in families():
        assert f"| `{metric}` |" in text, metric


def test_every_metric_is_shown() -> None:
    assert set().union(*(named(target["expr"]) for panel in PANELS for target in panel["targets"])) == families()
