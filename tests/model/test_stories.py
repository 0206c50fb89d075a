"""Stories made by Hypothesis, and those that once ended wrong. `python -m tests.model --stories 10000` plays more.

`make test` plays the same stories each time, so that a new one that ends wrong is found by whoever looks for it.
"""

import os

import pytest
from hypothesis import HealthCheck, given, settings

from tests.model.bench import Bench
from tests.model.receiver import Receiver
from tests.model.replay import known_stories, replay
from tests.model.stories import ALL, Story, stories
from tests.model.telling import play

pytestmark = pytest.mark.usefixtures("story_clock")

SLOW = int(os.environ.get("SUPATOSS_STORIES", "3000"))
SHARED = [HealthCheck.function_scoped_fixture, HealthCheck.too_slow]
"""One clock and one database for all stories: each begins with neither rows nor time."""


@settings(max_examples=60, derandomize=True, deadline=None, suppress_health_check=SHARED)
@given(story=stories(ALL - {"signed"}))
def test_a_receiver_that_believes_toss_alone_tells_the_truth(bench: Bench, story: Story) -> None:
    play(bench, story, Receiver)


@settings(max_examples=60, derandomize=True, deadline=None, suppress_health_check=SHARED)
@given(story=stories())
def test_rows_hold_what_happened_at_toss(bench: Bench, story: Story) -> None:
    play(bench, story)


@pytest.mark.slow
@pytest.mark.timeout(1800)
@settings(max_examples=SLOW, deadline=None, suppress_health_check=SHARED)
@given(story=stories())
def test_rows_hold_what_happened_at_toss_in_many_stories(bench: Bench, story: Story) -> None:
    play(bench, story)


@pytest.mark.parametrize("title", known_stories())
def test_a_story_that_once_ended_wrong(bench: Bench, title: str) -> None:
    replay(bench, known_stories()[title])
