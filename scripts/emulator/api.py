"""The calls of Toss's API.

Source: docs.tosspayments.com, core API reference.
"""

from collections.abc import Awaitable, Callable
from typing import Any, NoReturn

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from scripts.emulator import fields
from scripts.emulator.billing import billing_json
from scripts.emulator.calls import Api, Call, CallHandler
from scripts.emulator.errors import NotPossible, TossError
from scripts.emulator.merchant import Merchant
from scripts.emulator.payment import Payment, Status
from scripts.emulator.shapes import payment_json, transaction_json

_ANY = ["GET", "POST", "PUT", "PATCH", "DELETE"]


class TossApi:
    """What each call does. CallHandler has already checked the key and the limit."""

    def __init__(self, merchant: Merchant) -> None:
        self._merchant = merchant

    def routes(self, handler: CallHandler) -> list[Route]:
        """The routes, in matching order."""
        table: list[tuple[str, str, Api]] = [
            ("GET", "/v1/payments/orders/{order_id}", self.payment_of_order),
            ("GET", "/v1/payments/{payment_key}", self.payment),
            ("POST", "/v1/payments/confirm", self.confirm),
            ("POST", "/v1/payments/{payment_key}/cancel", self.cancel),
            ("POST", "/v1/billing/authorizations/issue", self.issue_billing_key),
            ("POST", "/v1/billing/{billing_key}", self.charge),
            ("DELETE", "/v1/billing/{billing_key}", self.delete_billing_key),
            ("GET", "/v1/transactions", self.transactions),
            ("GET", "/v1/settlements", self.settlements),
        ]
        routes = [
            Route(path, _endpoint(handler, f"{method} {path}", api), methods=[method]) for method, path, api in table
        ]
        return [*routes, Route("/v1/{rest:path}", _endpoint(handler, "unknown", _unknown), methods=_ANY)]

    def payment(self, call: Call) -> dict[str, Any]:
        """GET /v1/payments/{paymentKey}."""
        return payment_json(self._merchant.payment(call.path["payment_key"]))

    def payment_of_order(self, call: Call) -> dict[str, Any]:
        """GET /v1/payments/orders/{orderId}."""
        return payment_json(self._merchant.payment_of_order(call.path["order_id"]))

    def confirm(self, call: Call) -> dict[str, Any]:
        """POST /v1/payments/confirm."""
        payment_key = fields.text(call.body, "paymentKey", 200)
        order_id = fields.text(call.body, "orderId", 64)
        return payment_json(self._merchant.confirm(payment_key, order_id, fields.amount(call.body, "amount")))

    def cancel(self, call: Call) -> dict[str, Any]:
        """POST /v1/payments/{paymentKey}/cancel."""
        body = call.body
        payment = self._merchant.payment(call.path["payment_key"])
        reason = fields.text(body, "cancelReason", 200)
        amount = fields.optional_amount(body, "cancelAmount")
        request_id = fields.optional_text(body, "cancelRequestId", 64)
        if body.get("currency", payment.currency) != payment.currency:
            raise TossError("INVALID_REQUEST", "currency")
        if payment.cancels_later and request_id is None:
            raise TossError("INVALID_REQUEST", "cancelRequestId")
        refundable = fields.optional_amount(body, "refundableAmount")
        if refundable is not None and refundable != payment.balance:
            raise TossError("NOT_MATCHES_REFUNDABLE_AMOUNT")
        if _holds_a_deposit(payment):
            fields.refund_account(body)
        # Only an asynchronous cancel keeps its request id; otherwise it is always null.
        kept_id = request_id if payment.cancels_later else None
        return payment_json(self._merchant.cancel(payment, reason, amount, kept_id))

    def issue_billing_key(self, call: Call) -> dict[str, Any]:
        """POST /v1/billing/authorizations/issue. Every authKey works once."""
        auth_key = fields.text(call.body, "authKey", 300)
        customer_key = fields.text(call.body, "customerKey", 300)
        return billing_json(self._merchant.billing_keys.issue(customer_key, auth_key), self._merchant.m_id)

    def charge(self, call: Call) -> dict[str, Any]:
        """POST /v1/billing/{billingKey}."""
        payment = self._merchant.charge(
            call.path["billing_key"],
            fields.text(call.body, "customerKey", 300),
            fields.order_id(call.body),
            fields.text(call.body, "orderName", 100),
            fields.amount(call.body, "amount"),
        )
        return payment_json(payment)

    def delete_billing_key(self, call: Call) -> None:
        """DELETE /v1/billing/{billingKey}."""
        self._merchant.delete_billing_key(call.path["billing_key"])

    def transactions(self, call: Call) -> list[dict[str, Any]]:
        """GET /v1/transactions, oldest first."""
        start, end = fields.moments(call.query)
        limit = fields.number(call.query, "limit", fields.DEFAULT_PAGE, fields.MAX_PAGE)
        rows = self._merchant.ledger.transactions
        if after := call.query.get("startingAfter"):
            numbers = [number for number, row in enumerate(rows) if row.key == after]
            if not numbers:
                raise TossError("INVALID_REQUEST", "startingAfter")
            rows = rows[numbers[-1] + 1 :]
        return [transaction_json(row) for row in rows if start <= row.at <= end][:limit]

    def settlements(self, call: Call) -> list[dict[str, Any]]:
        """GET /v1/settlements."""
        start, end = fields.dates(call.query)
        day = call.query.get("dateType", "soldDate")
        if day not in ("soldDate", "paidOutDate"):
            raise TossError("INVALID_REQUEST", "dateType")
        size = fields.number(call.query, "size", fields.DEFAULT_PAGE, fields.MAX_PAGE)
        first = (fields.number(call.query, "page", 1, 10**9) - 1) * size
        rows = [row for row in self._merchant.ledger.settlements if start <= row[day] <= end]
        return rows[first : first + size]


def _holds_a_deposit(payment: Payment) -> bool:
    return payment.is_virtual_account and payment.status in (Status.DONE, Status.PARTIAL_CANCELED)


def _endpoint(handler: CallHandler, name: str, api: Api) -> Callable[[Request], Awaitable[Response]]:
    def refused_as_toss_does(call: Call) -> object:
        try:
            return api(call)
        except NotPossible as error:
            raise TossError("FORBIDDEN_REQUEST", str(error)) from None

    async def endpoint(request: Request) -> Response:
        return await handler.answer(request, name, refused_as_toss_does)

    return endpoint


def _unknown(_call: Call) -> NoReturn:
    raise TossError("NOT_FOUND")
