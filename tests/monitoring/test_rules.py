"""Every rule of Prometheus fires when it must and not when it must not, on series that the service exports."""

from collections.abc import Callable
from typing import Any

import pytest
import yaml  # type: ignore[import-untyped]

from supatoss.alerts.rules import Rule
from tests.monitoring.films import Film
from tests.monitoring.promtool import ALERT_RULES, Promtool, Story
from tests.monitoring.series import Exported, groupings, selectors

RULES: dict[str, dict[str, Any]] = {
    rule["alert"]: rule
    for group in yaml.safe_load(ALERT_RULES.read_text(encoding="utf-8"))["groups"]
    for rule in group["rules"]
}
STEP_MINUTES = 5
"""Of the stories that take days."""

HOUR = 60 // STEP_MINUTES
DAY = 24 * HOUR


def alerts_open(rule: Rule, values: str, others: str) -> dict[str, str]:
    """Of one process; another one started later, and knows the same."""
    series = {f'supatoss_alerts_open{{rule="{name.value}",instance="a"}}': others for name in Rule}
    series[f'supatoss_alerts_open{{rule="{rule.value}",instance="a"}}'] = values
    series[f'supatoss_alerts_open{{rule="{rule.value}",instance="b"}}'] = f"_ _ {values.split(' ', 2)[2]}"
    return series


def of_the_table(rule: Rule) -> list[Story]:
    """Rules that the service judges itself: it exports what is open."""
    return [
        Story(alerts_open(rule, "0 0 0 1 1 2 1 0 0", "0x8"), fires=range(3, 7), quiet=[0, 2, 7, 8]),
        Story(alerts_open(rule, "0 0 0 0 0 0 0 0 0", "0 0 0 1 1 1 1 0 0"), quiet=range(9)),
    ]


def waiting(values: str, *limits: int) -> dict[str, str]:
    series = {
        f'supatoss_backlog_limit_seconds{{instance="{place}"}}': f"{limit}x99" for place, limit in enumerate(limits)
    }
    return {'supatoss_oldest_waiting_seconds{instance="0"}': values, **series}


def filmed(play: Callable[[Film], None], **moments: Any) -> Story:
    film = Film()
    play(film)
    return Story(film.series(), **moments)


def database_down(film: Film) -> None:
    film.run(10)
    film.project.is_away = True
    film.run(30)
    film.project.is_away = False
    film.run(20)


def database_down_at_the_start(film: Film) -> None:
    film.project.is_away = True
    film.run(20)
    film.start()
    film.run(20)


def retries_of_toss(film: Film) -> None:
    """One delivery, and its first three retries: the only ones of that hour."""
    film.run(10)
    film.run(30, failing=[0, 1, 5, 21])
    film.run(30)


def service_gone(film: Film) -> None:
    film.run(10)
    film.absent(20)
    film.start()
    film.run(10)


def restarts(film: Film) -> None:
    """A deployment, and a database that is away for two minutes."""
    film.run(10)
    film.absent(2)
    film.start()
    film.run(10)
    film.project.is_away = True
    film.run(2)
    film.project.is_away = False
    film.run(10)


def only_a_worker_left() -> Story:
    """It goes on, but nobody receives."""
    worker = {
        'supatoss_alerts_open{rule="database_away",instance="b"}': "0x30",
        'supatoss_process_info{role="worker",version="1",instance="b"}': "1x30",
    }
    web = {'supatoss_process_info{role="web",version="1",instance="a"}': "1x9 stale _x20"}
    return Story({**worker, **web}, fires=[16, 30], quiet=[5, 9, 14])


def not_ready() -> list[Story]:
    return [
        # Away for three minutes, and then for five of the rule's own.
        filmed(database_down, fires=[18, 30, 39], quiet=[9, 12, 17, 41, 55]),
        filmed(database_down_at_the_start, fires=[8, 19], quiet=[2]),
        filmed(retries_of_toss, fires=[20, 24], quiet=[9, 14, 32, 60]),
        filmed(service_gone, fires=[15, 29], quiet=[9, 13, 31, 39]),
        filmed(restarts, quiet=range(34)),
        only_a_worker_left(),
    ]


def reconciled(values: str, **moments: Any) -> Story:
    series = {
        'supatoss_reconciled_timestamp_seconds{instance="a"}': values,
        # Another process, without RECONCILE_AT.
        'supatoss_reconciled_timestamp_seconds{instance="b"}': f"0x{5 * DAY}",
    }
    return Story(series, minutes=STEP_MINUTES, **moments)


def reconciliation_stale() -> list[Story]:
    """Time begins at 0, in seconds: a success at 7200 was after two hours."""
    restart = 20 * HOUR
    return [
        # Begun after two hours, with or without a success then.
        reconciled(f"0x{2 * HOUR} 7200x{4 * DAY}", fires=[39 * HOUR, 60 * HOUR], quiet=[37 * HOUR]),
        # A restart does not hide that: the process knows nothing at first, and then what the database knows.
        reconciled(f"7200x{restart} stale _ _ 0 0 7200x{2 * DAY}", fires=[39 * HOUR], quiet=[restart + 4, 37 * HOUR]),
        # RECONCILE_AT is not set, or no longer.
        reconciled(f"0x{5 * DAY}", quiet=[3 * DAY, 5 * DAY]),
        reconciled(f"7200x{2 * DAY} 0x{3 * DAY}", fires=[40 * HOUR], quiet=[3 * DAY]),
        # Every day at the same time.
        reconciled(
            " ".join(f"{day * 86400}x{DAY - 1}" for day in range(5)), quiet=[2 * DAY, 3 * DAY - 1, 4 * DAY + HOUR]
        ),
    ]


STORIES: dict[str, Callable[[], list[Story]]] = {
    **{rule.value: lambda rule=rule: of_the_table(rule) for rule in Rule},  # type: ignore[misc]
    Rule.BACKLOG.value: lambda: [
        Story(waiting("0 300 600 660 720 0", 600, 3600), fires=[3, 4], quiet=[0, 2, 5]),
        Story(waiting("0 300 600 660 720 0", 7200, 3600), quiet=range(6)),
    ],
    "not_ready": not_ready,
    "reconciliation_stale": reconciliation_stale,
}


@pytest.mark.parametrize("alert", RULES)
def test_a_rule_fires_when_it_must_and_not_when_it_must_not(promtool: Promtool, alert: str) -> None:
    stories = STORIES[alert]()
    assert any(story.fires for story in stories)
    assert any(story.quiet and not story.fires for story in stories)
    for story in stories:
        assert promtool.tell(story, RULES[alert]) == "", story


def test_there_are_stories_for_every_rule_and_for_no_other() -> None:
    assert STORIES.keys() == RULES.keys()


def test_the_files_are_as_prometheus_takes_them(promtool: Promtool) -> None:
    assert promtool.check_rules(ALERT_RULES) == ""


@pytest.mark.parametrize("alert", RULES)
def test_rules_and_stories_use_only_what_the_service_exports(exported: Exported, alert: str) -> None:
    series = "\n".join(name for story in STORIES[alert]() for name in story.series)
    for text in (RULES[alert]["expr"], series):
        assert [problem for selector in selectors(text) for problem in exported.problems(selector)] == []


def test_a_rule_that_never_fires_is_found(promtool: Promtool, exported: Exported) -> None:
    """The tests above do find what they are for."""
    rule = {**RULES["not_ready"], "expr": 'rate(supatoss_deliveries_total{outcome="lost"}[5m]) > 0 or supatoss_x'}
    assert "FAILED" in promtool.tell(filmed(retries_of_toss, fires=[20]), rule)
    assert [problem for selector in selectors(rule["expr"]) for problem in exported.problems(selector)] == [
        "supatoss_deliveries_total has no outcome lost",
        "no process exports supatoss_x",
    ]
    assert groupings("sum(max by (kind) (supatoss_reconciliation_differences))") == {"kind"}
