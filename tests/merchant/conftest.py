"""Two projects with the guide's application: one adopted with its rows, one fresh with the application's own tables."""

from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest

from scripts.local_stack import LocalPostgres
from tests.database.conftest import migrate, postgres  # noqa: F401 - a fixture
from tests.database.support import Database

GUIDE = Path(__file__).with_name("guide.sql").read_text()

BEFORE_ADOPTION = "drop view sales_of_today"
AFTER_ADOPTION = "grant select, insert, update, delete on payments, subscriptions to anon, authenticated"
"""What adoption still stumbles over, and what it still narrows."""

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
def _projects(postgres: LocalPostgres) -> Iterator[dict[str, Database]]:  # noqa: F811 - the fixture
    adopted, fresh = postgres.create_database("adopted"), postgres.create_database("fresh")
    with psycopg.connect(adopted, autocommit=True) as one, psycopg.connect(fresh, autocommit=True) as other:
        one.execute(GUIDE)
        one.execute(BEFORE_ADOPTION)
        migrate(adopted)
        one.execute(AFTER_ADOPTION)
        migrate(fresh)
        other.execute(OWN_TABLES)
        # The application's trigger, in the guide's words.
        other.execute(GUIDE[GUIDE.index("create function add_credits()") : GUIDE.index("create function touch_")])
        yield {"adopted": Database(one, adopted), "fresh": Database(other, fresh)}


@pytest.fixture(params=["adopted", "fresh"])
def project(request: pytest.FixtureRequest, _projects: dict[str, Database]) -> Iterator[Database]:
    """A project in a transaction that is rolled back."""
    with _projects[request.param].rolled_back():
        yield _projects[request.param]


@pytest.fixture
def adopted(_projects: dict[str, Database]) -> Iterator[Database]:
    """The adopted project in a transaction that is rolled back."""
    with _projects["adopted"].rolled_back():
        yield _projects["adopted"]


@pytest.fixture(params=["adopted", "fresh"])
def committed(
    request: pytest.FixtureRequest, postgres: LocalPostgres, _projects: dict[str, Database]  # noqa: F811 - the fixture
) -> Iterator[Database]:
    """A copy of a project in which a test commits."""
    template = _projects[request.param]
    template.connection.close()
    name = f"{request.param}_copy"
    dsn = postgres.create_database(name, template=request.param)
    template.connection = psycopg.connect(template.dsn, autocommit=True)
    with psycopg.connect(dsn, autocommit=True) as connection:
        yield Database(connection, dsn)
    postgres.drop_database(name)
