"""The scenarios that can be played under /emulator/: payments, billing keys, payouts, sellers, any webhook."""

from collections.abc import Callable, Iterator
from typing import TypeVar

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from scripts.emulator import requests as bodies
from scripts.emulator.billing import billing_json
from scripts.emulator.control import Endpoint, answer, control, read
from scripts.emulator.events import Event, entity_event, payout_json, seller_json
from scripts.emulator.formats import Names, to_json
from scripts.emulator.merchant import Merchant
from scripts.emulator.payment import Payment
from scripts.emulator.shapes import payment_json
from scripts.emulator.webhooks import Webhooks

Model = TypeVar("Model", bound=bodies.Body)


class Scenarios:
    """The steps of a scenario. Each returns what it created or changed."""

    def __init__(self, merchant: Merchant, webhooks: Webhooks, names: Names) -> None:
        self._merchant = merchant
        self._webhooks = webhooks
        self._names = names

    def routes(self) -> Iterator[Route]:
        """One route for each step."""
        do = self._merchant
        one = "/emulator/payments/{payment_key}/"
        yield _post("/emulator/payments", self.create_payment)
        yield self._step(f"{one}authenticate", bodies.NoBody, lambda payment, _: do.authenticate(payment))
        yield self._step(f"{one}approve", bodies.ApprovePayment, self._approve)
        yield self._step(f"{one}deposit", bodies.NoBody, lambda payment, _: do.deposit(payment))
        yield self._step(f"{one}deposit-error", bodies.NoBody, lambda payment, _: do.deposit_error(payment))
        yield self._step(f"{one}due-date-passed", bodies.NoBody, lambda payment, _: do.pass_due_date(payment))
        yield self._step(f"{one}expire", bodies.NoBody, lambda payment, _: do.expire(payment))
        yield self._step(f"{one}abort", bodies.AbortPayment, lambda payment, body: do.abort(payment, body.code))
        yield self._step(
            f"{one}cancel",
            bodies.CancelPayment,
            lambda payment, body: do.cancel(payment, body.reason, body.amount, body.cancel_request_id),
        )
        yield self._step(
            f"{one}cancel-result", bodies.CancelResult, lambda payment, body: do.finish_cancel(payment, body.status)
        )
        yield self._step(
            f"{one}refund-result", bodies.RefundResult, lambda payment, body: do.finish_refund(payment, body.status)
        )
        yield _post("/emulator/settlements/{payment_key}", self.settle)
        yield _post("/emulator/billing-keys", self.create_billing_key)
        yield _post("/emulator/billing-keys/{billing_key}/delete", self.delete_billing_key)
        yield _post("/emulator/payouts", self.pay_out)
        yield _post("/emulator/sellers", self.change_seller)
        yield _post("/emulator/events", self.send_event)

    async def create_payment(self, request: Request) -> Response:
        """A buyer opens the payment window."""
        body = await read(request, bodies.NewPayment)
        payment = self._merchant.new_payment(body.order_id, body.order_name, body.method, body.currency, body.amount)
        payment.customer_name, payment.customer_key = body.customer_name, body.customer_key
        payment.country, payment.metadata = body.country, body.metadata
        payment.cancels_later, payment.refuse_with = body.cancels_later, body.refuse_with
        if body.is_partial_cancelable is not None:
            payment.is_partly_cancelable = body.is_partial_cancelable
        if body.status == "IN_PROGRESS":
            self._merchant.authenticate(payment)
        return answer(payment_json(payment), 201)

    async def settle(self, request: Request) -> Response:
        """Adds rows to GET /v1/settlements."""
        body = await read(request, bodies.NewSettlement)
        payment = self._merchant.payment(request.path_params["payment_key"])
        return answer(self._merchant.ledger.settle(payment, body.sold_date, body.paid_out_date), 201)

    async def create_billing_key(self, request: Request) -> Response:
        """Issues a billing key for a customer's card; no webhook."""
        body = await read(request, bodies.NewBillingKey)
        billing = self._merchant.billing_keys.issue(body.customer_key, refuse_with=body.refuse_with)
        return answer(billing_json(billing, self._merchant.m_id), 201)

    async def delete_billing_key(self, request: Request) -> Response:
        """BILLING_DELETED."""
        body = await read(request, bodies.DeleteBillingKey)
        billing = self._merchant.delete_billing_key(request.path_params["billing_key"], body.reason)
        return answer(billing_json(billing, self._merchant.m_id))

    async def pay_out(self, request: Request) -> Response:
        """payout.changed, signed."""
        body = await read(request, bodies.NewPayout)
        payout = payout_json(body, self._names)
        if body.status in ("COMPLETED", "FAILED"):
            self._webhooks.send([entity_event("payout.changed", self._names.event_id(), payout)])
        return answer(payout, 201)

    async def change_seller(self, request: Request) -> Response:
        """seller.changed, signed."""
        seller = seller_json(await read(request, bodies.ChangedSeller))
        self._webhooks.send([entity_event("seller.changed", self._names.event_id(), seller)])
        return answer(seller, 201)

    async def send_event(self, request: Request) -> Response:
        """Sends any body as a webhook."""
        raw = await read(request, bodies.RawEvent)
        event_type = str((raw.body or {}).get("eventType", "unknown"))
        content = to_json(raw.body) if raw.text is None else raw.text.encode()
        self._webhooks.send([Event(event_type, content, raw.signed)])
        return answer({"eventType": event_type, "body": content.decode()}, 201)

    def _approve(self, payment: Payment, body: bodies.ApprovePayment) -> Payment:
        if body.force:
            return self._merchant.approve(payment)
        return self._merchant.confirm(payment.payment_key, payment.order_id, payment.total)

    def _step(self, path: str, model: type[Model], act: Callable[[Payment, Model], Payment]) -> Route:
        async def step(request: Request) -> Response:
            body = await read(request, model)
            payment = self._merchant.payment(request.path_params["payment_key"])
            return answer(payment_json(act(payment, body)))

        return _post(path, step)


def _post(path: str, step: Endpoint) -> Route:
    return Route(path, control(step), methods=["POST"])
