"""The payment window as a buyer sees it, the script that opens it, and the bank where issued accounts are paid.

The SDK's `payment().requestPayment()` opens the window, and it comes back to `successUrl` with paymentKey, orderId and
amount, or to `failUrl` with code and message. Nothing is paid until the shop confirms. If the buyer closes the window
or is refused in it, the payment doesn't change, and expires after 30 minutes.

Source: docs.tosspayments.com, SDK v2, payment window; types of the npm package @tosspayments/tosspayments-sdk.
"""

from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path
from urllib.parse import parse_qsl, urlencode, urlsplit, urlunsplit

import jinja2
from pydantic import ValidationError
from starlette.requests import Request
from starlette.responses import FileResponse, HTMLResponse, RedirectResponse, Response
from starlette.routing import Route

from scripts.emulator.control import check_caller
from scripts.emulator.errors import NotPossible, TossError
from scripts.emulator.formats import from_json
from scripts.emulator.merchant import Merchant
from scripts.emulator.payment import Payment, Status
from scripts.emulator.requests import OpenWindow

PAGES = Path(__file__).parent / "pages"
SDK = "/v2/standard"
ACCOUNTS = "/window/accounts"

Step = Callable[[Request], Awaitable[Response]]


class PaymentWindow:
    """Pages for people, on this machine only. `POST /window` is open to every site, as Toss's is to every shop."""

    def __init__(self, merchant: Merchant) -> None:
        self._merchant = merchant
        loader = jinja2.FileSystemLoader(PAGES)
        self._pages = jinja2.Environment(loader=loader, autoescape=True, undefined=jinja2.StrictUndefined)

    def routes(self) -> Iterator[Route]:
        """The routes, in matching order."""
        yield Route(SDK, self._page(self.sdk))
        yield Route("/window", self._page(self.open, from_other_sites=True), methods=["POST"])
        yield Route(ACCOUNTS, self._page(self.accounts))
        yield Route(ACCOUNTS, self._page(self.deposit), methods=["POST"])
        yield Route("/window/{payment_key}", self._page(self.show))
        yield Route("/window/{payment_key}", self._page(self.choose), methods=["POST"])

    async def sdk(self, _request: Request) -> Response:
        """The script in place of js.tosspayments.com/v2/standard."""
        return FileResponse(PAGES / "sdk.js", media_type="text/javascript")

    async def open(self, request: Request) -> Response:
        """A READY payment, and its window."""
        body = OpenWindow.model_validate(from_json((await _fields(request)).get("request", "").encode()))
        payment = self._merchant.new_payment(
            body.order_id, body.order_name, body.method, body.amount.currency, body.amount.value
        )
        payment.customer_key, payment.metadata = body.customer_key, body.metadata
        payment.customer_name = body.customer_name or payment.customer_name
        payment.success_url, payment.fail_url = body.success_url, body.fail_url
        return RedirectResponse(f"/window/{payment.payment_key}", 303)

    async def show(self, request: Request) -> Response:
        """What is to be paid, and what the buyer can do."""
        payment = self._open_payment(request)
        return self._html("window.html", title="결제창", payment=payment, amount=_amount(payment))

    async def choose(self, request: Request) -> Response:
        """The buyer pays, is refused, or closes the window."""
        payment = self._open_payment(request)
        match (await _fields(request)).get("choice"):
            case "pay":
                pass
            case "over-limit":
                payment.refuse_with = "REJECT_CARD_PAYMENT"
            case "reject":
                return _failed(payment, "REJECT_CARD_COMPANY", TossError("REJECT_CARD_COMPANY").message())
            case _:
                # The only failure that comes without the order id.
                query = {"code": "PAY_PROCESS_CANCELED", "message": "사용자에 의해 결제가 취소되었습니다."}
                return _redirect(payment.fail_url, query)
        self._merchant.authenticate(payment)
        query = {"paymentType": "NORMAL", "orderId": payment.order_id, "paymentKey": payment.payment_key}
        return _redirect(payment.success_url, {**query, "amount": f"{payment.total:f}"})

    async def accounts(self, _request: Request) -> Response:
        """The accounts that wait for their deposit: the developer centre's list of test payments."""
        waiting = self._merchant.payments_with(Status.WAITING_FOR_DEPOSIT)
        return self._html("accounts.html", title="가상계좌 입금", payments=waiting, format_amount=_amount)

    async def deposit(self, request: Request) -> Response:
        """The buyer's transfer arrives."""
        payment_key = (await _fields(request)).get("paymentKey", "")
        self._merchant.deposit(self._merchant.payment(payment_key))
        return RedirectResponse(ACCOUNTS, 303)

    def _open_payment(self, request: Request) -> Payment:
        payment = self._merchant.payment(request.path_params["payment_key"])
        if payment.status is not Status.READY or not payment.success_url:
            raise NotPossible("이미 끝난 결제입니다.")
        return payment

    def _page(self, step: Step, *, from_other_sites: bool = False) -> Step:
        """A step for this machine only, with its errors as pages."""

        async def endpoint(request: Request) -> Response:
            try:
                check_caller(request, from_other_sites=from_other_sites)
                return await step(request)
            except PermissionError as error:
                return self._problem(str(error), 403)
            except NotPossible as error:
                return self._problem(str(error), 409)
            except TossError as error:
                return self._problem(error.message(), error.status, error.code)
            except ValidationError as error:
                names = sorted({str(item["loc"][0]) for item in error.errors() if item["loc"]})
                code = "INVALID_CLIENT_KEY" if "clientKey" in names else "INVALID_REQUEST"
                return self._problem(f"잘못된 요청입니다. {', '.join(names)}", 400, code)
            except ValueError:
                return self._problem("잘못된 요청입니다.", 400, "INVALID_REQUEST")

        return endpoint

    def _problem(self, message: str, status: int, code: str = "") -> Response:
        return self._html("problem.html", status, title="결제창", message=message, code=code)

    def _html(self, name: str, status: int = 200, **values: object) -> Response:
        return HTMLResponse(self._pages.get_template(name).render(values), status)


async def _fields(request: Request) -> dict[str, str]:
    """The fields of a form."""
    return dict(parse_qsl((await request.body()).decode(errors="replace")))


def _failed(payment: Payment, code: str, message: str) -> Response:
    return _redirect(payment.fail_url, {"code": code, "message": message, "orderId": payment.order_id})


def _redirect(url: str, query: dict[str, str]) -> Response:
    """Redirects to the shop's address and keeps its query."""
    parts = urlsplit(url)
    full = "&".join(filter(None, (parts.query, urlencode(query))))
    return RedirectResponse(urlunsplit(parts._replace(query=full)), 303)


def _amount(payment: Payment) -> str:
    return f"{payment.total:,f}원" if payment.currency == "KRW" else f"{payment.total:,f} {payment.currency}"
