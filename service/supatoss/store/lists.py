"""Pages of the lists that operators look through: payments, subscriptions, settlements, alerts, refused deliveries."""

import datetime as dt
import json
from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Any, Self

from supatoss.store.client import Connection, Function, read_object

MAX_PAGE_ROWS = 500
"""Longest page that supatoss_ops_list_v1 gives."""


@dataclass(frozen=True, slots=True)
class ListCursor:
    """The last row of a page, by its time and id: the next page begins behind it."""

    at: str
    id: str

    @classmethod
    def of(cls, value: Mapping[str, Any] | None) -> Self | None:
        """The cursor of an answer."""
        return cls(str(value["at"]), str(value["id"])) if value else None


@dataclass(frozen=True, slots=True)
class ListFilter:
    """Which rows; empty fields match everything. search: a complete key, or part of a name; amount: the same as one.

    since is inclusive, until is not.
    """

    status: str = ""
    search: str = ""
    amount: Decimal | None = None
    since: dt.datetime | None = None
    until: dt.datetime | None = None

    def to_query(self, name: str, limit: int, after: ListCursor | None) -> dict[str, Any]:
        """The argument of supatoss_ops_list_v1."""
        return {
            "list": name,
            "status": self.status or None,
            "search": self.search or None,
            "amount": None if self.amount is None else str(self.amount),
            "from": self.since.isoformat() if self.since else None,
            "until": self.until.isoformat() if self.until else None,
            "after": {"at": after.at, "id": after.id} if after else None,
            "limit": limit,
        }


@dataclass(frozen=True, slots=True)
class ListPage:
    """Rows as the database gives them, newest first. searched_until: how far a search looked, if there is more."""

    rows: list[dict[str, Any]]
    next: ListCursor | None = None
    searched_until: str | None = None

    @classmethod
    def of(cls, answer: Mapping[str, Any]) -> Self:
        """Reads the answer. Raises KeyError or TypeError."""
        return cls([dict(row) for row in answer["rows"]], ListCursor.of(answer["next"]), answer["searched_until"])


class ListCalls(Connection):
    """Each call raises StoreUnavailable or StoreRefused."""

    async def read_list(
        self, name: str, wanted: ListFilter, *, limit: int, after: ListCursor | None = None
    ) -> ListPage:
        """A page of the list with this name."""
        query = json.dumps(wanted.to_query(name, limit, after), ensure_ascii=False)
        return await self.call(Function.OPS_LIST, {"query": query}, ListPage.of)

    async def read_health(self) -> dict[str, Any]:
        """The state of the service: processes, pending and failed events."""
        return await self.call(Function.OPS_HEALTH, {}, read_object)
