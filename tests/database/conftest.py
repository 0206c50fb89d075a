"""One PostgreSQL server for the whole run, with one migrated database, in which each test is rolled back."""

import itertools
import os
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest

from scripts.local_stack import MIGRATIONS, LocalPostgres
from tests.database.support import Database

_names = (f"test_{number}" for number in itertools.count())


def migrate(dsn: str) -> None:
    """Applies the migrations as the Supabase CLI does: one transaction a file, in the order of their names."""
    with psycopg.connect(dsn) as connection:
        for migration in sorted(MIGRATIONS.glob("*.sql")):
            connection.execute(migration.read_text())
            connection.commit()


@pytest.fixture(scope="session")
def postgres() -> Iterator[LocalPostgres]:
    # POSTGRES_BINARIES: the folder of another version's programs, such as Debian's PostgreSQL 15.
    other = os.environ.get("POSTGRES_BINARIES")
    with LocalPostgres(binaries=Path(other) if other else None) as server:
        migrate(server.create_database("template_migrated"))
        yield server


@pytest.fixture(scope="session")
def migrated_database(postgres: LocalPostgres) -> Iterator[Database]:
    dsn = postgres.create_database("migrated", template="template_migrated")
    with psycopg.connect(dsn, autocommit=True) as connection:
        yield Database(connection, dsn)


@pytest.fixture
def commits(migrated_database: Database) -> None:
    """The tables are new, and what the test writes is committed, each statement at a time of its own."""
    migrated_database.clear()


@pytest.fixture
def database(migrated_database: Database, request: pytest.FixtureRequest) -> Iterator[Database]:
    """A migrated database without rows. What a test does is rolled back, unless it needs it to be committed."""
    if {"commits", "second"}.isdisjoint(request.fixturenames):
        with migrated_database.rolled_back():
            yield migrated_database
    else:
        yield migrated_database
        migrated_database.clear()


@pytest.fixture
def empty_database(postgres: LocalPostgres) -> Iterator[str]:
    """A database with the roles and the schema auth, and nothing else: its connection string."""
    name = next(_names)
    yield postgres.create_database(name)
    postgres.drop_database(name)
