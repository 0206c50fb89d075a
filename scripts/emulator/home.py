"""The emulator's home page: its payments, with a button for each story that fits."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl

import jinja2
from starlette.requests import Request
from starlette.responses import HTMLResponse, PlainTextResponse, RedirectResponse, Response
from starlette.routing import Route

from scripts.emulator.control import check_caller
from scripts.emulator.errors import NotPossible, TossError
from scripts.emulator.stories import STORIES, Stories
from scripts.emulator.webhooks import Webhooks

PAGES = Path(__file__).parent / "pages"

TEXTS = {
    "ko": {
        "title": "토스 에뮬레이터",
        "unreal": "실제로 결제되지 않습니다. 이 컴퓨터에서만 접속할 수 있는 토스페이먼츠 에뮬레이터입니다.",
        "new": "새 결제",
        "payments": "결제",
        "none": "아직 결제가 없습니다. 위의 버튼을 누르거나 예제 상점에서 결제해 보세요.",
        "order": "주문번호",
        "name": "상품",
        "amount": "금액",
        "method": "결제수단",
        "status": "상태",
        "stories": "시나리오",
        "webhooks": "웹훅을 보낼 URL",
        "nowhere": "등록된 URL이 없습니다.",
        "shell": "명령줄에서:",
        "other": "English",
    },
    "en": {
        "title": "Toss emulator",
        "unreal": "No real money: a stand-in for Toss Payments on this machine.",
        "new": "New payment",
        "payments": "Payments",
        "none": "No payments yet. Use a button above, or buy something in the shop.",
        "order": "Order",
        "name": "Item",
        "amount": "Amount",
        "method": "Method",
        "status": "Status",
        "stories": "What happens next",
        "webhooks": "Webhook URL",
        "nowhere": "No URL is registered.",
        "shell": "On the command line:",
        "other": "한국어",
    },
}


class Home:
    """The page in Korean or English, and the same as plain text for curl."""

    def __init__(self, stories: Stories, webhooks: Webhooks) -> None:
        self._stories = stories
        self._webhooks = webhooks
        loader = jinja2.FileSystemLoader(PAGES)
        self._pages = jinja2.Environment(loader=loader, autoescape=True, undefined=jinja2.StrictUndefined)

    def routes(self) -> Iterator[Route]:
        """The routes."""
        yield Route("/", self.show, methods=["GET"])
        yield Route("/", self.play, methods=["POST"])

    async def show(self, request: Request) -> Response:
        """Shows the page."""
        try:
            check_caller(request)
        except PermissionError as error:
            return PlainTextResponse(f"{error}\n", 403)
        if "text/html" not in request.headers.get("accept", ""):
            return PlainTextResponse(self._as_text())
        return self._page(request)

    async def play(self, request: Request) -> Response:
        """Plays a story when a button is pressed."""
        fields = dict(parse_qsl((await request.body()).decode(errors="replace")))
        try:
            check_caller(request)
            await self._stories.play(fields.get("story", ""), payment_key=fields.get("payment"))
        except PermissionError as error:
            return PlainTextResponse(f"{error}\n", 403)
        except NotPossible as error:
            return self._page(request, str(error), 409)
        except TossError as error:
            return self._page(request, error.message(english=_language(request) == "en"), error.status)
        return RedirectResponse(f"/?lang={_language(request)}", 303)

    def _page(self, request: Request, problem: str = "", status: int = 200) -> Response:
        language = _language(request)
        rows = [(payment, self._stories.fitting(payment)) for payment in self._stories.shown()]
        values: dict[str, Any] = {
            "language": language,
            "other_language": "en" if language == "ko" else "ko",
            "texts": TEXTS[language],
            "label": lambda story: story.korean if language == "ko" else story.name.replace("-", " ").capitalize(),
            "openers": [story for story in STORIES if story.opens],
            "rows": rows,
            "targets": [target.url for target in self._webhooks.targets],
            "problem": problem,
            "format_amount": lambda it: f"₩{it.total:,f}" if it.currency == "KRW" else f"{it.total:,f} {it.currency}",
        }
        return HTMLResponse(self._pages.get_template("home.html").render(values), status)

    def _as_text(self) -> str:
        targets = ", ".join(target.url for target in self._webhooks.targets) or "nowhere"
        width = max(len(story.name) for story in STORIES)
        return "\n".join(
            [
                f"Toss emulator: no real money. Webhooks go to {targets}.",
                "",
                "Stories (POST /emulator/stories/STORY, or: supatoss emulator STORY [ORDER]):",
                *(f"  {story.name:<{width}}  {story.english}" for story in STORIES),
                "",
                "Payments (GET /emulator/payments):",
                *(
                    f"  {payment.order_id}  {payment.total:,f} {payment.currency}  {payment.status}"
                    for payment in self._stories.shown()
                ),
                "",
                "More: scripts/toss_emulator.py",
                "",
            ]
        )


def _language(request: Request) -> str:
    """The language of ?lang=, else the browser's."""
    if (chosen := request.query_params.get("lang")) in TEXTS:
        return str(chosen)
    return "ko" if request.headers.get("accept-language", "").lower().startswith("ko") else "en"
