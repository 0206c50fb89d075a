"""The other half of /emulator/: webhook URLs, faults, and what was sent and called."""

from typing import Any

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from scripts.emulator import requests as bodies
from scripts.emulator.control import Refused, answer, control, read
from scripts.emulator.deliveries import Target
from scripts.emulator.faults import Fault
from scripts.emulator.gate import Gate
from scripts.emulator.merchant import Merchant
from scripts.emulator.webhooks import Webhooks


class Backstage:
    """Prepares what will happen and shows what did."""

    def __init__(self, merchant: Merchant, webhooks: Webhooks, gate: Gate) -> None:
        self._merchant = merchant
        self._webhooks = webhooks
        self._gate = gate

    def routes(self) -> list[Route]:
        """The routes of all of it."""
        table = [
            ("POST", "/emulator/webhooks/suppress", self.suppress),
            ("POST", "/emulator/webhooks", self.register),
            ("GET", "/emulator/webhooks", self.webhooks),
            ("DELETE", "/emulator/webhooks", self.unregister),
            ("GET", "/emulator/deliveries", self.deliveries),
            ("POST", "/emulator/deliveries/{delivery_id}/resend", self.resend),
            ("GET", "/emulator/calls", self.calls),
            ("POST", "/emulator/faults", self.add_fault),
            ("GET", "/emulator/faults", self.faults),
            ("DELETE", "/emulator/faults", self.clear_faults),
            ("POST", "/emulator/reset", self.reset),
            ("GET", "/emulator", self.state),
        ]
        return [Route(path, control(step), methods=[method]) for method, path, step in table]

    async def register(self, request: Request) -> Response:
        """A URL that gets every later webhook, or those of some types."""
        body = await read(request, bodies.NewWebhook)
        self._webhooks.register(Target(body.url, body.event_types))
        return answer({"webhooks": self._targets()}, 201)

    async def webhooks(self, _request: Request) -> Response:
        """The registered URLs."""
        return answer({"webhooks": self._targets()})

    async def unregister(self, _request: Request) -> Response:
        """No URL is registered any more, those of the command line neither. What is being sent goes on."""
        self._webhooks.targets.clear()
        return answer({"webhooks": []})

    async def suppress(self, request: Request) -> Response:
        """The next webhooks are lost."""
        body = await read(request, bodies.Suppress)
        self._webhooks.suppressed_next = body.count
        return answer({"suppressed": body.count})

    async def deliveries(self, request: Request) -> Response:
        """Every webhook with every attempt, oldest first; state= and eventType= select."""
        wanted = request.query_params
        shown = [delivery.to_json() for delivery in self._webhooks.deliveries.values()]
        for name in ("state", "eventType"):
            shown = [delivery for delivery in shown if delivery[name] == wanted.get(name, delivery[name])]
        return answer({"deliveries": shown})

    async def resend(self, request: Request) -> Response:
        """One new attempt now, and no more after it."""
        delivery = await self._webhooks.resend(request.path_params["delivery_id"])
        return answer(delivery.to_json())

    async def calls(self, request: Request) -> Response:
        """Every call of the API, oldest first; path_prefix= selects."""
        prefix = request.query_params.get("path_prefix", "")
        shown = [call for call in self._gate.calls if call["path"].startswith(prefix)]
        return answer({"count": len(shown), "calls": shown})

    async def add_fault(self, request: Request) -> Response:
        """A fault of the next calls; several wait in the order in which they came."""
        body = await read(request, bodies.NewFault)
        fault = Fault(
            body.path_prefix,
            body.count,
            status=body.status,
            code=body.code,
            retry_after_seconds=body.retry_after_seconds,
            delay_seconds=body.delay_seconds,
            is_garbage=body.garbage,
            is_drop=body.drop,
            is_after=body.after,
        )
        if not fault.has_answer and not fault.delay_seconds:
            raise Refused("say what should happen: status, code, delay_seconds, garbage or drop")
        self._gate.faults.append(fault)
        return answer({"faults": self._waiting()}, 201)

    async def faults(self, _request: Request) -> Response:
        """The faults that are still to come."""
        return answer({"faults": self._waiting()})

    async def clear_faults(self, _request: Request) -> Response:
        """No faults any more."""
        self._gate.faults.clear()
        return answer({"faults": []})

    async def reset(self, _request: Request) -> Response:
        """As after the start; only names that were given are not given again."""
        self._merchant.reset()
        self._webhooks.reset()
        self._gate.reset()
        return await self.state(_request)

    async def state(self, _request: Request) -> Response:
        """How much there is; ready when it answers."""
        return answer(
            {
                "mId": self._merchant.m_id,
                "payments": self._merchant.count,
                "transactions": len(self._merchant.ledger.transactions),
                "deliveries": len(self._webhooks.deliveries),
                "sending": self._webhooks.sending_count,
                "calls": len(self._gate.calls),
                "faults": len(self._gate.faults),
                "webhooks": self._targets(),
            }
        )

    def _targets(self) -> list[dict[str, Any]]:
        return [{"url": target.url, "eventTypes": sorted(target.event_types)} for target in self._webhooks.targets]

    def _waiting(self) -> list[dict[str, Any]]:
        return [{"pathPrefix": fault.path_prefix, "count": fault.count} for fault in self._gate.faults]
