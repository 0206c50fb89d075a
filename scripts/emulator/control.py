"""The control API under /emulator/: plays buyers, banks and accidents, and shows what was sent and called."""

import ipaddress
from collections.abc import Awaitable, Callable
from typing import Any, TypeVar
from urllib.parse import urlsplit

from pydantic import ValidationError
from starlette.requests import Request
from starlette.responses import Response

from scripts.emulator.errors import NotPossible, TossError
from scripts.emulator.moments import from_json, to_json
from scripts.emulator.requests import Body

Model = TypeVar("Model", bound=Body)
Endpoint = Callable[[Request], Awaitable[Response]]


class Refused(Exception):
    """A request of the control API that cannot be read; the message is for the teller."""


def control(step: Endpoint) -> Endpoint:
    """An endpoint of the control API: for this machine only, its errors as JSON."""

    async def endpoint(request: Request) -> Response:
        try:
            _check_caller(request)
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
    """The body of a request; none is an empty object. Raises Refused."""
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


def _check_caller(request: Request) -> None:
    host = request.client.host if request.client else ""
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        address = None
    mapped = getattr(address, "ipv4_mapped", None) or address
    if mapped is None or not mapped.is_loopback:
        raise PermissionError("the control API is for this machine only")
    origin = request.headers.get("origin")
    if origin is not None and urlsplit(origin).netloc != request.headers.get("host"):
        raise PermissionError("the control API does not answer the pages of other sites")
