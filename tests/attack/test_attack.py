"""`make attack` is tried itself: it sees the damage where limits are off, and none where they are on."""

from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from tests.attack import report
from tests.attack.catalogue import ATTACKS, Attack
from tests.attack.deliveries import MAKERS
from tests.attack.honest import NO_ANSWER, Answers, Honest
from tests.attack.server.floods import FLOODS
from tests.attack.stage import MACHINE_MIB, Result, Stage, running_stage
from tests.attack.unlimited import UNLIMITED

SECONDS = 1.0
STALLED = Attack("signed_stalled_bodies", "server", "a signed body that stalls", 1000, is_flood=True)


@pytest.fixture(scope="module")
def stage(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    with running_stage(tmp_path_factory.mktemp("stage")) as running:
        yield running


def test_no_harm_is_seen_where_limits_hold(stage: Stage) -> None:
    result = stage.attack(STALLED, SECONDS)
    assert result.is_clean, report.line(result)


def test_harm_is_seen_where_none_hold_and_where_what_is_acknowledged_is_not_stored(stage: Stage) -> None:
    """A trigger drops what the service believes to have stored: the attack tool reads the inbox itself."""
    stage.world.execute(
        "create function drop_honest() returns trigger language plpgsql as $$ begin"
        " delete from webhook_events where order_id ~ '^honest.*[13579]$' and created_at < now(); return null; end $$;"
        "create trigger drop_honest after insert on webhook_events execute function drop_honest()"
    )
    try:
        result = stage.attack(STALLED, SECONDS, UNLIMITED)
    finally:
        stage.world.execute("drop function drop_honest() cascade")
    assert (result.peak_mib > MACHINE_MIB, result.missing > 0, result.is_clean) == (True, True, False)


RESULT = Result(
    STALLED,
    rest=Honest(signed=Answers(Counter({200: 2}), [10.0, 20.0])),
    attacked=Honest(signed=Answers(Counter({200: 2}), [10.0, 30.0])),
    answers=Counter({"answered 503": 7, "most open": 3}),
    peak_mib=100.0,
    missing=0,
    stored=0,
    problems=[],
)


@pytest.mark.parametrize(
    "harm",
    [
        {"attacked": Honest(signed=Answers(Counter({200: 9, 503: 1})))},
        {"attacked": Honest(unsigned=Answers(Counter({200: 9, NO_ANSWER: 1})))},
        {"peak_mib": MACHINE_MIB + 1.0},
        {"missing": 1},
        {"problems": ["the guide's query fails"]},
    ],
    ids=["refused", "lost", "memory", "missing", "problem"],
)
def test_any_harm_fails_the_run(harm: dict[str, object]) -> None:
    assert RESULT.is_clean
    assert not replace(RESULT, **harm).is_clean  # type: ignore[arg-type]


def test_the_table_is_put_between_its_marks(tmp_path: Path) -> None:
    document = tmp_path / "security.md"
    document.write_text("before\n<!-- table: make attack -->\nold\n<!-- end of table -->\nafter\n", encoding="utf-8")
    report.write(document, [RESULT], 8.0)
    text = document.read_text(encoding="utf-8")
    assert "| a signed body that stalls | 1,000 | 7 × 503 | 2 | 0 | 0 | 30 | 30 | 20 | 1.5 |" in text
    assert (text.startswith("before\n<!--"), text.endswith("-->\nafter\n"), "old" in text) == (True, True, False)


def test_every_attack_has_its_program() -> None:
    assert {attack.name for attack in ATTACKS if attack.is_flood} == set(FLOODS)
    assert {attack.name for attack in ATTACKS if not attack.is_flood} == {*MAKERS, "wrong_passwords"}
