"""The two calls to Toss that a shop needs: confirm a payment, and look one up."""

from typing import Any, cast
from urllib.parse import quote

import httpx

CONFIRM_SECONDS = 30.0
"""Card companies may take this long."""

TEMPORARY = {"PROVIDER_ERROR", "IDEMPOTENT_REQUEST_PROCESSING"}
PAID = {"DONE", "WAITING_FOR_DEPOSIT"}


class Refused(Exception):
    """Toss refused the payment, and no money moved."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(f"{code}: {message}")
        self.code, self.message = code, message


class Unclear(Exception):
    """Toss didn't say whether the payment was approved: the webhook will."""


async def confirm(toss: httpx.AsyncClient, payment_key: str, order_id: str, amount: int) -> dict[str, Any]:
    """Toss's Payment object: DONE, or WAITING_FOR_DEPOSIT for a virtual account. Raises Refused or Unclear."""
    try:
        answer = await toss.post(
            "/v1/payments/confirm",
            json={"paymentKey": payment_key, "orderId": order_id, "amount": amount},
            headers={"Idempotency-Key": f"confirm-{payment_key}"},
            timeout=CONFIRM_SECONDS,
        )
        if answer.is_success:
            return cast("dict[str, Any]", answer.json())
        error = answer.json()
        if _is_final(answer.status_code, error["code"]):
            raise Refused(error["code"], error["message"])
    except (httpx.RequestError, ValueError, KeyError, TypeError):  # no answer in time, or one that is not Toss's
        pass
    return await _look_up(toss, payment_key, order_id, amount)


def _is_final(status: int, code: str) -> bool:
    is_about_the_payment = status in (400, 403, 404) and code not in TEMPORARY
    return is_about_the_payment and code != "ALREADY_PROCESSED_PAYMENT"


async def _look_up(toss: httpx.AsyncClient, payment_key: str, order_id: str, amount: int) -> dict[str, Any]:
    """What became of a confirmation whose answer is missing."""
    try:
        answer = await toss.get(f"/v1/payments/{quote(payment_key, safe='')}")
        payment = cast("dict[str, Any]", answer.json())
        known = (payment["status"] in PAID, payment["orderId"], payment["totalAmount"])
    except (httpx.RequestError, ValueError, KeyError, TypeError) as error:
        raise Unclear(type(error).__name__) from None
    if known != (True, order_id, amount):
        raise Unclear(f"the payment is {payment['status']}")
    return payment
