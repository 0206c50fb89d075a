"""Starlette, one HMAC and an answer: anything that stores is slower."""

import hashlib
import hmac
import os

import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.routing import Route

_KEY = os.environ.get("TOSS_SECRET_KEY", "").encode()


def is_genuine(request: Request, body: bytes) -> bool:
    """Whether the merchant guide's signature is valid."""
    time = request.headers.get("tosspayments-webhook-transmission-time", "")
    expected = hmac.digest(_KEY, body + b":" + time.encode(), hashlib.sha256).hex()
    return hmac.compare_digest(expected, request.headers.get("tosspayments-webhook-signature", ""))


async def webhook(request: Request) -> Response:
    """Verify, answer."""
    if not is_genuine(request, await request.body()):
        return PlainTextResponse("Invalid signature", 401)
    return JSONResponse({"received": True})


async def healthz(_request: Request) -> Response:
    """The process runs."""
    return PlainTextResponse("ok")


def run(app: Starlette) -> None:
    """Serves an application like supatoss, on HOST and PORT."""
    uvicorn.run(
        app, host=os.environ["HOST"], port=int(os.environ["PORT"]), log_config=None, access_log=False, log_level="error"
    )


app = Starlette(routes=[Route("/healthz", healthz), Route("/functions/v1/webhook", webhook, methods=["POST"])])

if __name__ == "__main__":
    run(app)
