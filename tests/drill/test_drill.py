"""The runbook is played for real: one quick scenario here, all of them by `make drill`."""

import pytest

from tests.drill.catalogue import SCENARIOS
from tests.drill.runbook import RUNBOOK, read_sections
from tests.drill.scenario import Scenario, perform
from tests.drill.stage import Stage


@pytest.mark.parametrize("scenario", [item for item in SCENARIOS if item.is_quick], ids=str)
def test_a_failure_is_told_of_mended_as_the_runbook_says_and_over(stage: Stage, scenario: Scenario) -> None:
    result = perform(stage, scenario)
    assert result.problem is None


def test_every_section_has_a_scenario_and_every_scenario_a_section() -> None:
    """A section that can't be played would be listed here with its reason; there is none."""
    sections = read_sections(RUNBOOK.read_text(encoding="utf-8"))
    assert {scenario.section for scenario in SCENARIOS} == sections.keys()


def test_the_korean_runbook_has_the_same_commands_in_the_same_sections() -> None:
    korean = read_sections(RUNBOOK.with_suffix(".ko.md").read_text(encoding="utf-8"))
    english = read_sections(RUNBOOK.read_text(encoding="utf-8"))
    assert [section.commands for section in korean.values()] == [section.commands for section in english.values()]
