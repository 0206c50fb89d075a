"""An order's story, in the order in which it happened."""

from starlette.responses import Response

from supatoss.ops.links import links_to_toss
from supatoss.ops.stories import tell
from supatoss.ops.visits import Missing, Visit

MAX_ORDER = 200


async def show_payment(visit: Visit) -> Response:
    """GET /ops/payment?order=. Orders have any characters, so they stand in the query."""
    order_id = visit.request.query_params.get("order", "")
    if not order_id or len(order_id) > MAX_ORDER or "\x00" in order_id:
        raise Missing
    answer = await visit.store.read("supatoss_ops_payment_v1", {"p_order_id": order_id})
    if not answer["payment"] and not answer["events"]:
        raise Missing
    return visit.render(
        "payment.html",
        section="events",
        order_id=order_id,
        payment=answer["payment"],
        story=tell(answer, visit.words),
        links=links_to_toss(answer["payment"]),
    )
