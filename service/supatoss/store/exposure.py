"""How a project's own policies, views and functions open our tables."""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from supatoss.store.client import Connection, Function, read_object, read_row


class Sight(StrEnum):
    """What a role that owns no row sees of a table. unknown: a policy of the project's raised an error."""

    ROWS = "rows"
    NONE = "none"
    REFUSED = "refused"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True)
class Look:
    """How a table looks to a stranger: anon, or a signed-in user without rows."""

    table: str
    role: str
    sees: Sight


@dataclass(frozen=True, slots=True)
class Policy:
    """A policy that is not ours: `name on table`. asks: whether it checks the user."""

    policy: str
    command: str
    roles: tuple[str, ...]
    expression: str
    asks: bool


@dataclass(frozen=True, slots=True)
class OpenView:
    """A view that reads our tables with its owner's rights. writes: whether it can be written through as well."""

    view: str
    kind: str
    tables: tuple[str, ...]
    roles: tuple[str, ...]
    writes: bool
    asks: bool


@dataclass(frozen=True, slots=True)
class OpenFunction:
    """A function that users can call: security definer, and it names our tables; or a hook, which only we should."""

    function: str
    roles: tuple[str, ...]
    asks: bool
    is_hook: bool


@dataclass(frozen=True, slots=True)
class Exposure:
    """unprotected: tables without row level security. triggers: those that look at the role of the token."""

    strangers: tuple[Look, ...]
    unprotected: tuple[str, ...]
    policies: tuple[Policy, ...]
    views: tuple[OpenView, ...]
    functions: tuple[OpenFunction, ...]
    triggers: tuple[str, ...]


class ExposureCalls(Connection):
    """Each call raises StoreUnavailable or StoreRefused."""

    async def read_exposure(self) -> Exposure:
        """Looks at each table as a stranger, and lists what is open."""
        return await self.call(Function.READ_EXPOSURE, {}, _exposure)


def _exposure(answer: Any) -> Exposure:
    found = read_object(answer)
    return Exposure(
        tuple(Look(row["table"], row["role"], Sight(row["sees"])) for row in found["strangers"]),
        tuple(found["unprotected"]),
        tuple(read_row(Policy, _with_tuples(row)) for row in found["policies"]),
        tuple(read_row(OpenView, _with_tuples(row)) for row in found["views"]),
        tuple(read_row(OpenFunction, _with_tuples(row)) for row in found["functions"]),
        tuple(found["triggers"]),
    )


def _with_tuples(row: Mapping[str, Any]) -> dict[str, Any]:
    return {name: tuple(value) if isinstance(value, list) else value for name, value in row.items()}
