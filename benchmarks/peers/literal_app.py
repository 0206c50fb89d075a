"""The guide's function on Starlette, with the asynchronous Supabase client and its defaults."""

import json
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.routing import Route
from supabase import create_async_client

from benchmarks.peers.bare_app import healthz, is_genuine, run


@asynccontextmanager
async def lifespan(app: Starlette) -> AsyncIterator[None]:
    """Opens the client."""
    app.state.supabase = await create_async_client(os.environ["SUPABASE_URL"], os.environ["SUPABASE_SECRET_KEY"])
    yield


async def webhook(request: Request) -> Response:
    """Verify, insert the event, look up the payment, upsert it."""
    body = await request.body()
    if not is_genuine(request, body):
        return PlainTextResponse("Invalid signature", 401)
    event = json.loads(body)
    payment = event["data"]
    supabase = request.app.state.supabase
    key = payment["paymentKey"]
    await (
        supabase.table("webhook_events")
        .insert({"event_type": event["eventType"], "payment_key": key, "payload": event})
        .execute()
    )
    found = await supabase.table("payments").select("id, payment_status").eq("payment_key", key).execute()
    if not found.data or found.data[0]["payment_status"] != payment["status"]:
        row = {
            "payment_key": key,
            "order_id": payment["orderId"],
            "order_name": payment["orderName"],
            "amount": payment["totalAmount"],
            "currency": payment["currency"],
            "payment_method": payment["method"],
            "payment_status": payment["status"],
            "requested_at": payment["requestedAt"],
            "approved_at": payment["approvedAt"],
            "receipt_url": payment["receipt"]["url"],
        }
        await supabase.table("payments").upsert(row, on_conflict="payment_key").execute()
    return JSONResponse({"received": True})


app = Starlette(
    routes=[Route("/healthz", healthz), Route("/functions/v1/webhook", webhook, methods=["POST"])], lifespan=lifespan
)

if __name__ == "__main__":
    run(app)
