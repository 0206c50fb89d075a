"""The shop's server.

    uvicorn examples.shop.app:app

Environment: SUPABASE_URL, SUPABASE_SECRET_KEY, TOSS_CLIENT_KEY and TOSS_SECRET_KEY (a pair: test_ck_… and test_sk_…).
`make run` also sets TOSS_API_URL, TOSS_SDK_URL and TEST_BANK_URL, which lead to the Toss emulator.
"""

import logging
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from decimal import Decimal, InvalidOperation
from pathlib import Path
from typing import Any, TypedDict

import httpx
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, RedirectResponse, Response
from starlette.routing import Mount, Route
from starlette.staticfiles import StaticFiles
from starlette.templating import Jinja2Templates
from supabase import AsyncClientOptions, PostgrestAPIError, acreate_client

from . import toss
from .orders import Orders
from .texts import describe, describe_failure

HERE = Path(__file__).parent
PRODUCT_NAME, PRICE = "원두 1kg", 9_900
"""What the shop sells. The price comes from the server, never from the page."""

log = logging.getLogger("shop")
pages = Jinja2Templates(HERE / "pages")


class State(TypedDict):
    """What the requests share."""

    orders: Orders
    toss: httpx.AsyncClient


async def product(request: Request) -> Response:
    """The page with the button that opens the payment window."""
    values = {
        "name": PRODUCT_NAME,
        "price": PRICE,
        "client_key": os.environ["TOSS_CLIENT_KEY"],
        "sdk_url": os.environ.get("TOSS_SDK_URL", "https://js.tosspayments.com/v2/standard"),
    }
    return pages.TemplateResponse(request, "product.html", values)


async def create_order(request: Request) -> Response:
    """Stores the order with its price; the page then opens the payment window for it."""
    order_id = await _orders(request).store(PRODUCT_NAME, PRICE)
    return JSONResponse({"orderId": order_id, "orderName": PRODUCT_NAME, "amount": PRICE}, 201)


async def success(request: Request) -> Response:
    """successUrl: the buyer agreed, and nothing is paid yet. Refreshing this page is safe."""
    order, orders = await _order(request), _orders(request)
    order_id, payment_key = order["order_id"], request.query_params.get("paymentKey")
    if not payment_key or not _is_amount(request.query_params.get("amount", ""), order["amount"]):
        log.warning("order %s came back with another amount: not confirmed", order_id)
        return pages.TemplateResponse(request, "problem.html", {"text": "주문 금액과 결제 금액이 다릅니다."}, 400)
    try:
        payment = await toss.confirm(request.state.toss, payment_key, order_id, int(order["amount"]))
        await orders.confirmed(order_id, payment)
    except toss.Refused as refusal:
        await orders.refused(order_id, refusal.code, refusal.message)
    except toss.Unclear as problem:
        log.warning("order %s: Toss gave no clear answer (%s), the webhook will", order_id, problem)
    return RedirectResponse(f"/orders/{order_id}", 303)


async def fail(request: Request) -> Response:
    """failUrl: the window was closed, or the card refused. Its query proves nothing, so no row changes."""
    order = await _order(request)
    if order["payment_status"] != "PENDING":
        return RedirectResponse(f"/orders/{order['order_id']}", 303)
    text = describe_failure(request.query_params.get("code", ""))
    return pages.TemplateResponse(request, "problem.html", {"text": text})


async def result(request: Request) -> Response:
    """The order as it is now; the page asks `state` for news."""
    order = await _order(request)
    values = {"order": order, "state": describe(order), "bank_url": os.environ.get("TEST_BANK_URL")}
    return pages.TemplateResponse(request, "result.html", values)


async def state(request: Request) -> Response:
    """The order's state as JSON."""
    return JSONResponse(describe(await _order(request)), headers={"cache-control": "no-store"})


def _orders(request: Request) -> Orders:
    orders: Orders = request.state.orders
    return orders


async def _order(request: Request) -> dict[str, Any]:
    order = await _orders(request).find(request.path_params["order_id"])
    if order is None:
        raise HTTPException(404)
    return order


def _is_amount(text: str, stored: object) -> bool:
    try:
        return Decimal(text) == Decimal(str(stored))
    except InvalidOperation:
        return False


async def _not_found(request: Request, _error: Exception) -> Response:
    return pages.TemplateResponse(request, "problem.html", {"text": "주문을 찾을 수 없습니다."}, 404)


async def _away(request: Request, error: Exception) -> Response:
    log.error("the database did not answer: %s", error)
    text = "일시적인 오류입니다. 잠시 후 새로고침해 주세요. 두 번 결제되지 않습니다."
    return pages.TemplateResponse(request, "problem.html", {"text": text}, 503)


@asynccontextmanager
async def lifespan(_app: Starlette) -> AsyncIterator[State]:
    """One connection pool for Supabase and one for Toss."""
    toss_url = os.environ.get("TOSS_API_URL", "https://api.tosspayments.com")
    auth = (os.environ["TOSS_SECRET_KEY"], "")  # the key is the user name; there is no password
    async with httpx.AsyncClient(timeout=10.0) as http, httpx.AsyncClient(base_url=toss_url, auth=auth) as client:
        options = AsyncClientOptions(httpx_client=http)
        supabase = await acreate_client(os.environ["SUPABASE_URL"], os.environ["SUPABASE_SECRET_KEY"], options)
        yield {"orders": Orders(supabase), "toss": client}


app = Starlette(
    routes=[
        Route("/", product),
        Route("/orders", create_order, methods=["POST"]),
        Route("/orders/{order_id}", result),
        Route("/orders/{order_id}/state", state),
        Route("/orders/{order_id}/success", success),
        Route("/orders/{order_id}/fail", fail),
        Mount("/static", StaticFiles(directory=HERE / "static")),
    ],
    exception_handlers={404: _not_found, httpx.RequestError: _away, PostgrestAPIError: _away},
    lifespan=lifespan,
)
