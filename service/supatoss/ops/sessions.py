"""Sessions of signed-in operators. The database has the last word on each, so that ending one ends it everywhere."""

from collections import OrderedDict
from dataclasses import dataclass

from supatoss.ops.cookies import SESSION_SECONDS, Cookies
from supatoss.store import Store

CONFIRMED_SECONDS = 600.0
"""Actions on many rows or people need a password that was entered in the last ten minutes."""

MAX_ENDED = 1000
"""Remembered sessions that have ended, so that repeating an old cookie costs no database calls."""


@dataclass(frozen=True, slots=True)
class Session:
    """An operator who is signed in. is_confirmed: the password was given just now."""

    id: str
    operator: str
    is_confirmed: bool


class Sessions:
    """Begins, reads and ends sessions. Every call can raise StoreError, except for a cookie that isn't ours."""

    def __init__(self, cookies: Cookies, store: Store) -> None:
        self._cookies = cookies
        self._store = store
        self._ended: OrderedDict[str, None] = OrderedDict()

    async def open(self, operator: str, address: str) -> str:
        """The cookie of a new session."""
        holder, cookie = self._cookies.sign_session(operator)
        await self._store.open_session(holder.id, operator, address, SESSION_SECONDS)
        return cookie

    async def read(self, cookie: str | None) -> Session | None:
        """The session of a cookie. The database confirms it each time; without confirmation it is treated as ended."""
        holder = self._cookies.read_session(cookie)
        if holder is None or holder.id in self._ended:
            return None
        found = await self._store.read_session(holder.id)
        if found is None or found.operator != holder.operator:
            self._forget(holder.id)
            return None
        return Session(holder.id, holder.operator, found.confirmed_seconds < CONFIRMED_SECONDS)

    async def confirm(self, session: Session) -> None:
        """The password was given again."""
        await self._store.confirm_session(session.id)

    async def end(self, session: Session) -> None:
        """Ends one session."""
        await self._store.end_sessions(session_id=session.id)

    async def end_own(self, session: Session) -> int:
        """Ends all sessions of its operator. How many there were."""
        return await self._store.end_sessions(operator=session.operator, ended_by=session.operator)

    async def end_all(self, session: Session) -> int:
        """Ends the sessions of all operators. How many there were."""
        return await self._store.end_sessions(ended_by=session.operator)

    def _forget(self, session_id: str) -> None:
        self._ended[session_id] = None
        if len(self._ended) > MAX_ENDED:
            self._ended.popitem(last=False)
