"""Floods of unsigned deliveries: every honest delivery is stored, and the worker goes on."""

from pathlib import Path

import pytest

from scripts.local_stack import LocalSupabase
from tests.attack.conftest import SUPABASE_KEY
from tests.attack.lookups.campaign import FLOODS, HONEST, SENDERS, measure


@pytest.mark.slow
@pytest.mark.timeout(180)
@pytest.mark.parametrize("flood", FLOODS)
def test_honest_deliveries_get_through(flood: str, supabase: LocalSupabase, tmp_path: Path) -> None:
    figures = measure(flood, supabase, SUPABASE_KEY, tmp_path, seconds=5.0)
    assert figures["forged"]["answers"].keys() <= {401, 503}
    for sender in SENDERS:
        assert figures[sender]["attacked"]["answers"] == {200: HONEST}
    assert figures["worker_seconds"] is not None
