"""Records the calls of this checkout as those of a release: python -m tests.released VERSION."""

import sys

import psycopg
from structlog.testing import capture_logs

from scripts.local_stack import LocalPostgres
from scripts.release import Checkout, write_json
from tests.database.conftest import migrate
from tests.database.support import Database
from tests.released.calls import record


def main(version: str) -> int:
    """Writes tests/fixtures/released/<version>.json."""
    with LocalPostgres() as server:
        dsn = server.create_database("released")
        migrate(dsn)
        with psycopg.connect(dsn, autocommit=True) as connection, capture_logs():  # the story has an alert
            calls = record(Database(connection, dsn))
    file = Checkout().calls(version)
    write_json(file, calls)
    functions = {call["function"] for call in calls}
    print(f"{file.relative_to(Checkout().root)}: {len(calls)} calls of {len(functions)} functions")
    return 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
