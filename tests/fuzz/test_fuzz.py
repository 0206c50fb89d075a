"""The quick part of `make fuzz`: everything that was ever found, and a few new cases for each target."""

from collections.abc import Iterator

import pytest
from hypothesis import HealthCheck, given, settings

from tests.fuzz.found import CORPUS, replayed
from tests.fuzz.targets import TARGETS, Run, Target, statuses


@pytest.fixture(scope="module", params=list(TARGETS.values()), ids=list(TARGETS))
def target(request: pytest.FixtureRequest) -> Target:
    found = request.param
    assert isinstance(found, Target)
    return found


@pytest.fixture(scope="module")
def run(target: Target) -> Iterator[Run]:
    with target.opened() as opened:
        yield opened


def test_what_was_found_is_not_found_again(target: Target, run: Run) -> None:
    for kept in replayed(target.name):
        try:
            run(kept.read_bytes())
        except Exception as error:
            raise AssertionError(f"{target.name}/{kept.name}") from error


def test_new_cases_find_nothing(target: Target, run: Run) -> None:
    # The same ones in every run: a finding belongs to the change that causes it. `make fuzz` tries others.
    @settings(derandomize=True, suppress_health_check=list(HealthCheck))
    @given(target.cases)
    def once(case: bytes) -> None:
        run(case)

    once()


def test_the_corpus_is_of_targets_and_small() -> None:
    assert {folder.name for folder in CORPUS.iterdir()} <= TARGETS.keys()
    files = [file for folder in CORPUS.iterdir() for file in folder.iterdir()]
    assert len(files) < 500
    assert sum(file.stat().st_size for file in files) < 1_000_000


def test_answers_that_are_no_http_are_seen() -> None:
    good = b"HTTP/1.1 400 Bad Request\r\ncontent-length: 2\r\n\r\nno"
    assert statuses(good + good) == [400, 400]
    for bad in (b"HTTP/2 200", b"no" + good, b"Traceback"):
        with pytest.raises(AssertionError):
            statuses(bad)
