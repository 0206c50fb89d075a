"""Two projects with the guide's application: one adopted with its rows, one fresh with the application's own tables."""

import itertools
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psycopg
import pytest

from scripts.local_stack import LocalPostgres
from tests.database.conftest import (  # noqa: F401 - fixtures
    database,
    empty_database,
    migrate,
    migrated_database,
    postgres,
)
from tests.database.support import Database
from tests.database.test_races import observer, second  # noqa: F401 - fixtures

_numbers = itertools.count()

GUIDE = Path(__file__).with_name("guide.sql").read_text()

OWN_TABLES = """
create table profiles (
  id uuid primary key, name text, credits integer not null default 0, paid_orders integer not null default 0
);
create table subscription_payments (
  id uuid primary key default gen_random_uuid(),
  subscription_id uuid not null references subscriptions (id) on delete cascade,
  payment_id uuid not null references payments (id) on delete cascade,
  billing_date date not null default current_date,
  status varchar(20) not null default 'SUCCESS',
  created_at timestamptz default now()
);
insert into profiles (id, name) values ('00000000-0000-0000-0000-000000000001', '김하나');
grant insert on payments to authenticated;
create policy "own orders" on payments for insert to authenticated with check (auth.uid() = user_id);
"""
"""A project that begins with supatoss makes its own tables beside ours."""


@pytest.fixture(scope="session")
def projects(postgres: LocalPostgres) -> LocalPostgres:  # noqa: F811 - the fixture
    """The server, with a template database of each project."""
    dsn = postgres.create_database("template_adopted")
    with psycopg.connect(dsn, autocommit=True) as connection:
        connection.execute(GUIDE)
        migrate(dsn)
    dsn = postgres.create_database("template_fresh")
    migrate(dsn)
    with psycopg.connect(dsn, autocommit=True) as connection:
        connection.execute(OWN_TABLES)
        # The application's trigger, in the guide's words.
        connection.execute(GUIDE[GUIDE.index("create function add_credits()") : GUIDE.index("create function touch_")])
    return postgres


@contextmanager
def copied(projects: LocalPostgres, name: str) -> Iterator[Database]:
    copy = f"{name}_{next(_numbers)}"
    dsn = projects.create_database(copy, template=f"template_{name}")
    with psycopg.connect(dsn, autocommit=True) as connection:
        yield Database(connection, dsn)
    projects.drop_database(copy)


@pytest.fixture(scope="session")
def _both(projects: LocalPostgres) -> Iterator[dict[str, Database]]:
    with copied(projects, "adopted") as adopted, copied(projects, "fresh") as fresh:
        yield {"adopted": adopted, "fresh": fresh}


@pytest.fixture(params=["adopted", "fresh"])
def project(request: pytest.FixtureRequest, _both: dict[str, Database]) -> Iterator[Database]:
    """A project in a transaction that is rolled back."""
    with _both[request.param].rolled_back():
        yield _both[request.param]


@pytest.fixture
def adopted(_both: dict[str, Database]) -> Iterator[Database]:
    """The adopted project in a transaction that is rolled back."""
    with _both["adopted"].rolled_back():
        yield _both["adopted"]


@pytest.fixture(params=["adopted", "fresh"])
def committed(request: pytest.FixtureRequest, projects: LocalPostgres) -> Iterator[Database]:
    """A copy of a project in which a test commits."""
    with copied(projects, request.param) as copy:
        yield copy
