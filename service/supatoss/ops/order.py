"""The page of one order: what was paid, refunded and settled, what happened, and whether it was paid twice."""

from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import Any

from starlette.responses import Response

from supatoss.ops.formats import links_to_toss, refunded
from supatoss.ops.page import PageNotFound, PageRequest
from supatoss.ops.timeline import SurplusPayment, build_timeline, find_surplus

MAX_ORDER_LENGTH = 200

_UNPAID = ("PENDING", "READY", "IN_PROGRESS", "WAITING_FOR_DEPOSIT", "ABORTED", "EXPIRED", "FAILED")


async def show_order(request: PageRequest) -> Response:
    """GET /ops/payment?order=. An order id may contain any character, so it is in the query."""
    order_id = request.http.query_params.get("order", "")
    if not order_id or len(order_id) > MAX_ORDER_LENGTH or "\x00" in order_id:
        raise PageNotFound
    answer = await request.store.read_payment(order_id)
    payment = answer["payment"]
    if not payment and not answer["events"]:
        raise PageNotFound
    surplus = find_surplus(answer["events"], payment and payment["currency"])
    return request.render(
        "payment.html",
        section="payments",
        order_id=order_id,
        payment=payment,
        timeline=build_timeline(answer, request.texts),
        surplus=surplus,
        surplus_sum=sum((item.left for item in surplus), Decimal(0)),
        sums=_sums(payment, answer["settlements"], surplus) if payment else [],
        links=links_to_toss(payment),
    )


def _sums(
    payment: Mapping[str, Any], settlements: Sequence[Mapping[str, Any]], surplus: Sequence[SurplusPayment]
) -> list[tuple[str, Decimal, str]]:
    """An order's amounts: the name of the text, the amount and its currency. Only zeros are left out."""
    currency = payment["currency"] or "KRW"
    amount = Decimal(payment["amount"])
    if payment["status"] in _UNPAID:
        return [("asked", amount, currency)]
    taken_back = refunded(payment["amount"], payment["balance"])
    if taken_back is None and payment["status"] == "CANCELED":
        taken_back = amount  # by an application that keeps no balance
    lines = [("paid", amount, currency)]
    if taken_back:
        lines += [("refunded", -taken_back, currency), ("remaining", amount - taken_back, currency)]
    lines += [("surplus", item.left, item.currency) for item in surplus]
    for name, field in (("fee", "fee"), ("paid_out", "pay_out_amount")):
        values = [Decimal(row[field]) for row in settlements if row[field] is not None and row["kind"] == "settlement"]
        if values:
            lines.append((name, sum(values, Decimal(0)) * (-1 if name == "fee" else 1), currency))
    return lines
