"""The emulator as an ASGI application."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import httpx
from starlette.applications import Starlette

from scripts.emulator.api import TossApi
from scripts.emulator.calls import CallHandler
from scripts.emulator.control import Control
from scripts.emulator.faults import remember_connection
from scripts.emulator.formats import Names
from scripts.emulator.home import Home
from scripts.emulator.known import Known
from scripts.emulator.merchant import Merchant
from scripts.emulator.options import Options
from scripts.emulator.scenarios import Scenarios
from scripts.emulator.state import load, save
from scripts.emulator.stories import Stories
from scripts.emulator.webhooks import Webhooks
from scripts.emulator.window import PaymentWindow


class Emulator:
    """Toss Payments in memory. `transport` sends the webhooks; tests pass their own."""

    def __init__(self, options: Options, transport: httpx.AsyncBaseTransport | None = None) -> None:
        names = Names(options.m_id, options.seed)
        self._state = options.state
        self.webhooks = Webhooks(options, names, transport)
        self.merchant = Merchant(options.m_id, names, self.webhooks.send)
        self._handler = CallHandler(options, names)
        scenarios = Scenarios(self.merchant, self.webhooks, names)
        control = Control(self.merchant, self.webhooks, self._handler)
        window = PaymentWindow(self.merchant)
        api = TossApi(self.merchant).routes(self._handler)
        stories = Stories(self.merchant, self.webhooks)
        home = Home(stories, self.webhooks)
        played = [*stories.routes(), *Known(self.merchant).routes(), *scenarios.routes()]
        routes = [*api, *played, *control.routes(), *window.routes(), *home.routes()]
        self.app = remember_connection(Starlette(routes=routes, lifespan=self._lifespan))

    async def close(self) -> None:
        """Stops sending, and cancels the timers."""
        self.merchant.reset()
        await self.webhooks.close()

    @asynccontextmanager
    async def _lifespan(self, _app: Starlette) -> AsyncIterator[None]:
        if self._state:
            load(self._state, self.merchant)
        try:
            yield
        finally:
            if self._state:
                save(self._state, self.merchant)
            await self.close()
