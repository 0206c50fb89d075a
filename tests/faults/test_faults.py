"""Every fault in short: some hundred deliveries. `make faults` sends thousands."""

import pytest

from tests.faults.catalogue import FAULTS
from tests.faults.sender import COPIES
from tests.faults.trial import Fault, attempt
from tests.faults.world import World

EVENTS = 100
TIMEOUT_SECONDS = 90.0


@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: fault.name)
def test_nothing_is_lost_doubled_or_wrong(world: World, fault: Fault) -> None:
    result = attempt(world, fault, EVENTS, TIMEOUT_SECONDS)
    assert result.acknowledged == result.deliveries == COPIES * result.events
    assert str(result.verdict) == "all as expected"
    assert result.forbidden == {}
