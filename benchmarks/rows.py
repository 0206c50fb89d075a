"""Reads rows and empties tables: by SQL on a server, through the Data API on PGlite."""

from typing import Any, Protocol, cast

import httpx
import psycopg
from psycopg.rows import dict_row

Row = dict[str, Any]

ANSWER_SECONDS = 60.0
"""PGlite is slow for a table of ten thousand rows."""


class Rows(Protocol):
    """A database behind a peer. The text of queries is always this package's own."""

    def query(self, query: str) -> list[Row]:
        """The rows of a select."""

    def execute(self, statement: str) -> None:
        """Any other statement."""


class ServerRows:
    """A database of a PostgreSQL server; every call has its own connection."""

    def __init__(self, dsn: str) -> None:
        self.dsn = dsn

    def query(self, query: str) -> list[Row]:
        """The rows of a select."""
        with psycopg.connect(self.dsn, autocommit=True, row_factory=dict_row) as connection:
            return connection.execute(query).fetchall()

    def execute(self, statement: str) -> None:
        """Any other statement."""
        with psycopg.connect(self.dsn, autocommit=True) as connection:
            connection.execute(statement)


class DataApiRows:
    """A database behind a Data API that has the functions of sql/look_inside.sql."""

    def __init__(self, url: str, secret_key: str) -> None:
        self._url = url
        self._headers = {"apikey": secret_key, "authorization": f"Bearer {secret_key}"}

    def query(self, query: str) -> list[Row]:
        """The rows of a select, as JSON tells them."""
        return cast("list[Row]", self._call("benchmark_query", {"query": query}))

    def execute(self, statement: str) -> None:
        """Any other statement."""
        self._call("benchmark_execute", {"statement": statement})

    def _call(self, function: str, arguments: dict[str, str]) -> Any:
        response = httpx.post(
            f"{self._url}/rest/v1/rpc/{function}",
            json=arguments,
            headers=self._headers,
            timeout=ANSWER_SECONDS,
            trust_env=False,
        )
        response.raise_for_status()
        return response.json() if response.content else None
