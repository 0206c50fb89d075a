"""A Supabase project for services under attack."""

from collections.abc import Iterator

import pytest

from scripts.local_stack import LocalSupabase
from tests.processes import running_supabase

SUPABASE_KEY = "sb_secret_for_attacks_0001"


@pytest.fixture(scope="session")
def supabase(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalSupabase]:
    folder = tmp_path_factory.mktemp("supabase")
    with running_supabase(folder, "sb_publishable_for_attacks_0001", SUPABASE_KEY, with_postgres=False) as lite:
        yield lite
