"""The emulator put together, as an ASGI application."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import httpx
from starlette.applications import Starlette

from scripts.emulator.api import TossApi
from scripts.emulator.backstage import Backstage
from scripts.emulator.faults import remember_connection
from scripts.emulator.gate import Gate
from scripts.emulator.merchant import Merchant
from scripts.emulator.names import Names
from scripts.emulator.options import Options
from scripts.emulator.stories import Stories
from scripts.emulator.webhooks import Webhooks


class Emulator:
    """Toss Payments in memory. `transport` carries the webhooks; tests may give one of their own."""

    def __init__(self, options: Options, transport: httpx.AsyncBaseTransport | None = None) -> None:
        names = Names(options.m_id, options.seed)
        self.webhooks = Webhooks(options, names, transport)
        self.merchant = Merchant(options.m_id, names, self.webhooks.send)
        self._gate = Gate(options, names)
        stories = Stories(self.merchant, self.webhooks, names)
        backstage = Backstage(self.merchant, self.webhooks, self._gate)
        routes = [*TossApi(self.merchant).routes(self._gate), *stories.routes(), *backstage.routes()]
        self.app = remember_connection(Starlette(routes=routes, lifespan=self._lifespan))

    async def close(self) -> None:
        """Ends what is being sent, and the timers."""
        self.merchant.reset()
        await self.webhooks.close()

    @asynccontextmanager
    async def _lifespan(self, _app: Starlette) -> AsyncIterator[None]:
        try:
            yield
        finally:
            await self.close()
