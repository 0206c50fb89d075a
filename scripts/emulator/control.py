"""The control API under /emulator/: who may use it, webhook URLs, faults, and the logs of webhooks and calls."""

import ipaddress
from collections.abc import Awaitable, Callable
from typing import Any, TypeVar
from urllib.parse import urlsplit

from pydantic import ValidationError
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from scripts.emulator import requests as bodies
from scripts.emulator.calls import CallHandler
from scripts.emulator.errors import NotPossible, TossError
from scripts.emulator.faults import Fault
from scripts.emulator.formats import from_json, to_json
from scripts.emulator.merchant import Merchant
from scripts.emulator.requests import Body
from scripts.emulator.webhooks import Target, Webhooks

Model = TypeVar("Model", bound=Body)
Endpoint = Callable[[Request], Awaitable[Response]]


class Refused(Exception):
    """A request of the control API that is invalid; the message says why."""


def control(step: Endpoint) -> Endpoint:
    """An endpoint of the control API: for this machine only, with JSON errors."""

    async def endpoint(request: Request) -> Response:
        try:
            check_caller(request)
            return await step(request)
        except Refused as error:
            return answer({"error": str(error)}, 400)
        except NotPossible as error:
            return answer({"error": str(error)}, 409)
        except PermissionError as error:
            return answer({"error": str(error)}, 403)
        except TossError as error:
            return answer({"error": str(error), "code": error.code, "message": error.message()}, error.status)

    return endpoint


async def read(request: Request, model: type[Model]) -> Model:
    """The body of a request; no body is an empty object. Raises Refused."""
    raw = await request.body()
    try:
        return model.model_validate(from_json(raw) if raw else {})
    except ValidationError as error:
        problems = [f"{'.'.join(map(str, item['loc'])) or 'body'}: {item['msg']}" for item in error.errors()]
        raise Refused("; ".join(problems)) from None
    except ValueError as error:
        raise Refused(f"the body is not JSON: {error}") from None


def answer(content: Any, status: int = 200) -> Response:
    """A JSON answer."""
    return Response(to_json(content), status, media_type="application/json")


def check_caller(request: Request, *, from_other_sites: bool = False) -> None:
    """Raises PermissionError unless this machine asks, and not the page of another site."""
    host = request.client.host if request.client else ""
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        address = None
    mapped = getattr(address, "ipv4_mapped", None) or address
    if mapped is None or not mapped.is_loopback:
        raise PermissionError("the control API is for this machine only")
    origin = request.headers.get("origin")
    if not from_other_sites and origin is not None and urlsplit(origin).netloc != request.headers.get("host"):
        raise PermissionError("the control API does not accept requests from other sites' pages")


class Control:
    """Sets up webhooks and faults, and shows what happened."""

    def __init__(self, merchant: Merchant, webhooks: Webhooks, handler: CallHandler) -> None:
        self._merchant = merchant
        self._webhooks = webhooks
        self._handler = handler

    def routes(self) -> list[Route]:
        """The routes."""
        table = [
            ("POST", "/emulator/webhooks/suppress", self.suppress),
            ("POST", "/emulator/webhooks", self.register),
            ("GET", "/emulator/webhooks", self.webhooks),
            ("DELETE", "/emulator/webhooks", self.unregister),
            ("GET", "/emulator/deliveries", self.deliveries),
            ("POST", "/emulator/deliveries/{delivery_id}/resend", self.resend),
            ("GET", "/emulator/calls", self.calls),
            ("POST", "/emulator/secret-keys/revoke", self.revoke),
            ("POST", "/emulator/faults", self.add_fault),
            ("GET", "/emulator/faults", self.faults),
            ("DELETE", "/emulator/faults", self.clear_faults),
            ("POST", "/emulator/reset", self.reset),
            ("GET", "/emulator", self.state),
        ]
        return [Route(path, control(step), methods=[method]) for method, path, step in table]

    async def register(self, request: Request) -> Response:
        """Registers a URL for all later webhooks, or for some types."""
        body = await read(request, bodies.NewWebhook)
        self._webhooks.register(Target(body.url, body.event_types))
        return answer({"webhooks": self._targets()}, 201)

    async def webhooks(self, _request: Request) -> Response:
        """The registered URLs."""
        return answer({"webhooks": self._targets()})

    async def unregister(self, _request: Request) -> Response:
        """Removes every URL, the command line's included. Deliveries in progress continue."""
        self._webhooks.targets.clear()
        return answer({"webhooks": []})

    async def suppress(self, request: Request) -> Response:
        """Drops the next webhooks."""
        body = await read(request, bodies.Suppress)
        self._webhooks.suppressed_next = body.count
        return answer({"suppressed": body.count})

    async def revoke(self, request: Request) -> Response:
        """Refuses a secret key from now on, as after it was issued again."""
        body = await read(request, bodies.Revoke)
        self._handler.revoked.add(body.secret_key)
        return answer({"revoked": len(self._handler.revoked)})

    async def deliveries(self, request: Request) -> Response:
        """Every webhook with every attempt, oldest first; filters: state=, eventType=."""
        wanted = request.query_params
        shown = [delivery.to_json() for delivery in self._webhooks.deliveries.values()]
        for name in ("state", "eventType"):
            shown = [delivery for delivery in shown if delivery[name] == wanted.get(name, delivery[name])]
        return answer({"deliveries": shown})

    async def resend(self, request: Request) -> Response:
        """One new attempt now, and no retries after it."""
        delivery = await self._webhooks.resend(request.path_params["delivery_id"])
        return answer(delivery.to_json())

    async def calls(self, request: Request) -> Response:
        """Every API call, oldest first; filter: path_prefix=."""
        prefix = request.query_params.get("path_prefix", "")
        shown = [call for call in self._handler.calls if call["path"].startswith(prefix)]
        return answer({"count": len(shown), "calls": shown})

    async def add_fault(self, request: Request) -> Response:
        """Adds a fault for the next calls; several queue in order."""
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
        self._handler.faults.append(fault)
        return answer({"faults": self._waiting()}, 201)

    async def faults(self, _request: Request) -> Response:
        """The faults still to come."""
        return answer({"faults": self._waiting()})

    async def clear_faults(self, _request: Request) -> Response:
        """Removes all faults."""
        self._handler.faults.clear()
        return answer({"faults": []})

    async def reset(self, _request: Request) -> Response:
        """Back to the state after the start, except that keys and ids are not repeated."""
        self._merchant.reset()
        self._webhooks.reset()
        self._handler.reset()
        return await self.state(_request)

    async def state(self, _request: Request) -> Response:
        """Counts of everything; an answer means ready."""
        return answer(
            {
                "mId": self._merchant.m_id,
                "payments": self._merchant.count,
                "transactions": len(self._merchant.ledger.transactions),
                "deliveries": len(self._webhooks.deliveries),
                "sending": self._webhooks.sending_count,
                "calls": len(self._handler.calls),
                "faults": len(self._handler.faults),
                "webhooks": self._targets(),
            }
        )

    def _targets(self) -> list[dict[str, Any]]:
        return [{"url": target.url, "eventTypes": sorted(target.event_types)} for target in self._webhooks.targets]

    def _waiting(self) -> list[dict[str, Any]]:
        return [{"pathPrefix": fault.path_prefix, "count": fault.count} for fault in self._handler.faults]
