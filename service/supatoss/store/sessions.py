"""Sessions of the operators' page, as the database keeps them for every machine."""

import datetime as dt
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Self

from supatoss.store.client import Connection, Function


@dataclass(frozen=True, slots=True)
class OpenSession:
    """A session that has not ended. confirmed_seconds: since the password was last given."""

    operator: str
    confirmed_seconds: float

    @classmethod
    def from_answer(cls, answer: Mapping[str, Any] | None) -> Self | None:
        """Reads supatoss_read_session_v1's answer. Raises KeyError, TypeError or ValueError."""
        return None if answer is None else cls(answer["operator"], float(answer["confirmed_seconds"]))


@dataclass(frozen=True, slots=True)
class SignIn:
    """An open session in the list of them."""

    id: str
    operator: str
    address: str | None
    created_at: dt.datetime

    @classmethod
    def from_row(cls, row: Mapping[str, Any]) -> Self:
        """Reads an element of supatoss_list_sessions_v1's answer. Raises KeyError, TypeError or ValueError."""
        return cls(row["id"], row["operator"], row["address"], dt.datetime.fromisoformat(row["created_at"]))


class SessionCalls(Connection):
    """Each call raises StoreUnavailable or StoreRefused, and can be made twice without harm."""

    async def open_session(self, session_id: str, operator: str, address: str, seconds: int) -> None:
        """Begins a session that ends by itself after some seconds."""
        arguments = {"session_id": session_id, "operator": operator, "address": address, "seconds": seconds}
        await self.call(Function.OPEN_SESSION, arguments, lambda _answer: None)

    async def read_session(self, session_id: str) -> OpenSession | None:
        """The session, None where it has ended."""
        return await self.call(Function.READ_SESSION, {"session_id": session_id}, OpenSession.from_answer)

    async def confirm_session(self, session_id: str) -> None:
        """Records that the password was entered again."""
        await self.call(Function.CONFIRM_SESSION, {"session_id": session_id}, lambda _answer: None)

    async def end_sessions(
        self, *, session_id: str | None = None, operator: str | None = None, ended_by: str | None = None
    ) -> int:
        """Ends one session, all of an operator's, or with neither given, all. Returns how many were open."""
        arguments = {"session_id": session_id, "operator": operator, "ended_by": ended_by}
        return await self.call(Function.END_SESSIONS, arguments, int)

    async def list_sessions(self) -> list[SignIn]:
        """Open sessions, newest first."""
        return await self.call(Function.LIST_SESSIONS, {}, lambda rows: [SignIn.from_row(row) for row in rows])
