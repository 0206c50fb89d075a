"""A store that calls the functions over psycopg, in the place of the Data API."""

from collections.abc import Mapping
from typing import Any

from supatoss.store import Store
from supatoss.store.client import Function
from tests.database.support import Database


class DatabaseStore(Store):
    """Every call, with the same arguments as over the Data API."""

    def __init__(self, database: Database) -> None:
        self.database = database

    async def _answer(self, function: Function, arguments: Mapping[str, Any], tries: int) -> Any:
        marks = ", ".join(f"{name} => %s" for name in arguments)
        return self.database.call(f"select {function}({marks})", *arguments.values())
