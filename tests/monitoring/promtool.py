"""Stories of series, told to promtool: when a rule must fire and when it must not."""

import subprocess
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml  # type: ignore[import-untyped]

DOCS = Path(__file__).parents[2] / "docs/monitoring"
ALERT_RULES = DOCS / "alert-rules.yml"

TIMEOUT_SECONDS = 60


@dataclass(frozen=True)
class Story:
    """Series as promtool notes them, and the places in them at which the rule fires and is quiet."""

    series: Mapping[str, str]
    fires: Collection[int] = ()
    quiet: Collection[int] = ()
    minutes: int = 1
    """From one value to the next. Prometheus looks back for five."""


class Promtool:
    """The program, and a folder for its files."""

    def __init__(self, program: Path, folder: Path) -> None:
        self._program = program
        self._folder = folder

    def check_rules(self, rules: Path) -> str:
        """What is wrong with a file of rules; empty: nothing."""
        return self._run("check", "rules", rules)

    def tell(self, story: Story, rule: Mapping[str, Any]) -> str:
        """Where a rule, alone, does not do what a story says; empty: nowhere."""
        fired = {"exp_labels": rule["labels"], "exp_annotations": rule["annotations"]}
        moments = [*((place, [fired]) for place in story.fires), *((place, []) for place in story.quiet)]
        tests = [
            {"eval_time": f"{place * story.minutes}m", "alertname": rule["alert"], "exp_alerts": alerts}
            for place, alerts in moments
        ]
        return self._test(story, {"alert_rule_test": tests}, rule)

    def compute(self, series: Mapping[str, str], query: str, minute: int, samples: Sequence[Mapping[str, Any]]) -> str:
        """Where a query does not answer these samples; empty: it does."""
        test = {"expr": query, "eval_time": f"{minute}m", "exp_samples": list(samples)}
        return self._test(Story(series), {"promql_expr_test": [test]})

    def _test(self, story: Story, tests: Mapping[str, Any], *rules: Mapping[str, Any]) -> str:
        (self._folder / "rules.yml").write_text(yaml.safe_dump({"groups": [{"name": "story", "rules": list(rules)}]}))
        inputs = [{"series": name, "values": values} for name, values in story.series.items()]
        interval = f"{story.minutes}m"
        document = {
            "rule_files": ["rules.yml"],
            "evaluation_interval": interval,
            "tests": [{"interval": interval, "input_series": inputs, **tests}],
        }
        path = self._folder / "story.yml"
        path.write_text(yaml.safe_dump(document, allow_unicode=True), encoding="utf-8")
        return self._run("test", "rules", path)

    def _run(self, *command: str | Path) -> str:
        done = subprocess.run(  # noqa: S603 - the program that the tests have found
            [self._program, *command], capture_output=True, text=True, timeout=TIMEOUT_SECONDS, check=False
        )
        return "" if done.returncode == 0 else done.stdout + done.stderr
