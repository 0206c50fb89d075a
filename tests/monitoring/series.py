"""What a query or a story names: metrics and their labels, and whether a process exports them."""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from prometheus_client.parser import text_string_to_metric_families

ADDED_BY_PROMETHEUS = frozenset({"instance", "job"})
CLOSED_SETS = frozenset({"rule", "role", "status", "phase", "outcome", "le"})
"""Labels whose values a process that has worked a little has all exported, where the metric has any series."""

_SELECTOR = re.compile(r"\b(supatoss_\w+)(?:\{([^}]*)\})?")
_MATCHER = re.compile(r'(\w+)\s*(=~|!~|!=|=)\s*"([^"]*)"')
_GROUPING = re.compile(r"\bby\s*\(([^)]*)\)")


@dataclass(frozen=True)
class Selector:
    """One selector of a query, or one series."""

    name: str
    matchers: Sequence[tuple[str, str, str]]


def selectors(query: str) -> Iterator[Selector]:
    for name, inside in _SELECTOR.findall(query):
        yield Selector(name, _MATCHER.findall(inside))


def groupings(query: str) -> set[str]:
    """The labels that a query groups by."""
    return {label.strip() for inside in _GROUPING.findall(query) for label in inside.split(",")}


@dataclass(frozen=True)
class Exported:
    """Answers of /metrics: series by the names of their samples, families without any series too."""

    series: Mapping[str, Sequence[Mapping[str, str]]]
    values: Mapping[str, float]

    @classmethod
    def read(cls, *texts: str) -> "Exported":
        series: dict[str, list[Mapping[str, str]]] = {}
        values = {}
        for family in (family for text in texts for family in text_string_to_metric_families(text)):
            name = f"{family.name}_total" if family.type == "counter" else family.name
            if family.type != "histogram":
                series.setdefault(name, [])
            for sample in family.samples:
                if sample.name.startswith("supatoss_") and not sample.name.endswith("_created"):
                    series.setdefault(sample.name, []).append(sample.labels)
                    inside = ",".join(f'{label}="{value}"' for label, value in sample.labels.items())
                    values[f"{sample.name}{{{inside}}}"] = sample.value
        return cls(series, values)

    def problems(self, selector: Selector) -> list[str]:
        """Why a selector finds nothing."""
        if selector.name not in self.series:
            return [f"no process exports {selector.name}"]
        known = self.series[selector.name]
        found = []
        for label, operator, value in selector.matchers:
            if not known or label in ADDED_BY_PROMETHEUS:
                continue
            if label not in known[0]:
                found.append(f"{selector.name} has no label {label}")
            elif label in CLOSED_SETS and operator in ("=", "=~"):
                pattern = re.escape(value) if operator == "=" else value
                if not any(re.fullmatch(pattern, labels[label]) for labels in known):
                    found.append(f"{selector.name} has no {label} {value}")
        return found
