"""Whether a delivery of Toss has arrived: the newest events of the inbox."""

import asyncio
import datetime as dt
import os
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Annotated, Any
from urllib.parse import urlsplit

import typer

from supatoss.cli.output import ExitStatus, JsonOption, plain, print_json

if TYPE_CHECKING:
    from supatoss.settings import Settings
    from supatoss.store import Store
    from supatoss.store.events import StoredEvent

POLL_SECONDS = 1.0
"""Between two looks; a person waits for the first one."""

NEWEST_EVENTS = 50
"""Events looked through; made by ourselves or by an operator are few among them."""


async def newest_arrivals(store: "Store", since: dt.datetime | None = None) -> "list[StoredEvent]":
    """The newest events that came as deliveries, newest first. Raises StoreUnavailable or StoreRefused."""
    from supatoss.store.events import EventFilter

    page = await store.find_events(EventFilter(created_from=since), limit=NEWEST_EVENTS)
    return [event for event in page.events if _is_delivered(event)]


async def wait_for_arrival(store: "Store", timeout_seconds: float) -> "StoredEvent | None":
    """The first event that is not there yet, None when the time is over.

    What is new is told by ids, not by times: this machine's clock need not be the database's.
    """
    known = {event.id for event in await newest_arrivals(store)}
    try:
        async with asyncio.timeout(timeout_seconds):
            while True:
                arrived = [event for event in await newest_arrivals(store) if event.id not in known]
                if arrived:
                    return arrived[-1]
                await asyncio.sleep(POLL_SECONDS)
    except TimeoutError:
        return None


def _is_delivered(event: "StoredEvent") -> bool:
    """Not recorded by a person, and not one of our own findings (`supatoss.…`)."""
    return event.proof not in (None, "operator") and not event.event_type.startswith("supatoss.")


WEBHOOK_NAME = "Destiny.OS 결제 웹훅"
DEVELOPER_CENTRE = "https://developers.tosspayments.com"
SQL = "SELECT * FROM webhook_events ORDER BY created_at DESC LIMIT 10;"

BOXES = ("PAYMENT_STATUS_CHANGED", "DEPOSIT_CALLBACK", "CANCEL_STATUS_CHANGED", "BILLING_DELETED", "payout.changed")
"""What is ticked for the six events of the guide; those for which Toss sends nothing have no box."""


class Language(StrEnum):
    """Languages of operators."""

    EN = "en"
    KO = "ko"


@dataclass(frozen=True, slots=True)
class Sheet:
    """The fields of the form, the guide's events in Toss's words, and the two check-lists."""

    language: Language
    name: str
    url: str
    environment: str
    boxes: Sequence[str]
    guide_events: Sequence[tuple[str, str]]
    registration: Sequence[str]
    production: Sequence[str]

    def to_json(self) -> dict[str, Any]:
        """Fields for JSON."""
        return asdict(self)


_GUIDE_EVENTS = {
    Language.EN: (
        ("PAYMENT_STATUS_CHANGED", "PAYMENT_STATUS_CHANGED: the most important one"),
        ("VIRTUAL_ACCOUNT_ISSUED", "DEPOSIT_CALLBACK, with the status WAITING_FOR_DEPOSIT"),
        ("VIRTUAL_ACCOUNT_DEPOSIT", "DEPOSIT_CALLBACK, with the status DONE"),
        ("BILLING_KEY_ISSUED", "no box: Toss answers the request for the key with it and sends nothing"),
        ("BILLING_KEY_DELETED", "BILLING_DELETED"),
        ("SETTLEMENT_COMPLETED", "no box: Toss sends nothing; payouts to sellers are payout.changed"),
    ),
    Language.KO: (
        ("PAYMENT_STATUS_CHANGED", "PAYMENT_STATUS_CHANGED: 가장 중요한 이벤트"),
        ("VIRTUAL_ACCOUNT_ISSUED", "DEPOSIT_CALLBACK, 상태 WAITING_FOR_DEPOSIT"),
        ("VIRTUAL_ACCOUNT_DEPOSIT", "DEPOSIT_CALLBACK, 상태 DONE"),
        ("BILLING_KEY_ISSUED", "항목 없음: 발급 요청의 응답으로 받으며 웹훅은 오지 않습니다"),
        ("BILLING_KEY_DELETED", "BILLING_DELETED"),
        ("SETTLEMENT_COMPLETED", "항목 없음: 웹훅은 오지 않습니다. 셀러 지급은 payout.changed"),
    ),
}

_REGISTRATION = {
    Language.EN: (
        "signed in to {centre}, with the merchant id of these keys",
        "Webhook > register: name and URL exactly as above, no redirect, no www",
        "environment: {environment}",
        "every box above is ticked",
        "reception is tested: supatoss register --wait, then a test payment",
        "the row is there, in the SQL Editor: {sql}",
    ),
    Language.KO: (
        "{centre}에 이 키의 상점아이디(MID)로 로그인했습니다",
        "웹훅 > 웹훅 등록하기: 이름과 URL을 위와 똑같이 입력했습니다 (리다이렉트와 www 없이)",
        "환경: {environment}",
        "위의 이벤트를 모두 선택했습니다",
        "수신을 테스트했습니다: supatoss register --wait 실행 후 테스트 결제",
        "SQL Editor에서 행을 확인했습니다: {sql}",
    ),
}

_PRODUCTION = {
    Language.EN: (
        "the URL is registered again in the live environment",
        "TOSS_SECRET_KEY is the live key, and a signature made with it is believed: supatoss sign, supatoss verify",
        "alerts for the webhook are set up: ALERT_WEBHOOK_URL, then supatoss doctor --send-test-alert",
        "supatoss doctor has no failure",
    ),
    Language.KO: (
        "라이브 환경에 URL을 다시 등록했습니다",
        "TOSS_SECRET_KEY가 라이브 키이며, 그 키로 만든 서명이 통과합니다: supatoss sign, supatoss verify",
        "웹훅 모니터링 알림을 설정했습니다: ALERT_WEBHOOK_URL 설정 후 supatoss doctor --send-test-alert",
        "supatoss doctor에 failed가 없습니다",
    ),
}

_ENVIRONMENTS = {
    Language.EN: {"test": "test", "live": "live", "unknown": "test while developing, live in production"},
    Language.KO: {"test": "테스트", "live": "라이브", "unknown": "개발 중에는 테스트, 운영에서는 라이브"},
}

LABELS = {
    Language.EN: {
        "name": "name",
        "url": "URL",
        "environment": "environment",
        "boxes": "events",
        "guide_events": "The guide's events, in Toss's words",
        "registration": "Registered",
        "production": "Before production",
    },
    Language.KO: {
        "name": "이름",
        "url": "URL",
        "environment": "환경",
        "boxes": "이벤트",
        "guide_events": "가이드의 이벤트와 토스의 이벤트",
        "registration": "등록 체크리스트",
        "production": "운영 전 체크리스트",
    },
}


def make_sheet(url: str, key_kind: str, language: Language) -> Sheet:
    """The sheet of one deployment. key_kind: test, live or unknown, as the secret key says."""
    environment = _ENVIRONMENTS[language][key_kind]
    words = {"centre": DEVELOPER_CENTRE, "environment": environment, "sql": SQL}
    return Sheet(
        language,
        WEBHOOK_NAME,
        url,
        environment,
        BOXES,
        _GUIDE_EVENTS[language],
        tuple(item.format(**words) for item in _REGISTRATION[language]),
        _PRODUCTION[language],
    )


def to_text(sheet: Sheet) -> str:
    """The sheet for a terminal or an editor."""
    labels = LABELS[sheet.language]
    fields = [
        (labels["name"], sheet.name),
        (labels["url"], sheet.url),
        (labels["environment"], sheet.environment),
        (labels["boxes"], ", ".join(sheet.boxes)),
    ]
    return "\n".join(
        [
            f"{DEVELOPER_CENTRE} > Webhook",
            "",
            *(f"{label}: {value}" for label, value in fields),
            "",
            f"{labels['guide_events']}:",
            *(f"  {ours} → {theirs}" for ours, theirs in sheet.guide_events),
            "",
            f"{labels['registration']}:",
            *(f"  [ ] {item}" for item in sheet.registration),
            "",
            f"{labels['production']}:",
            *(f"  [ ] {item}" for item in sheet.production),
        ]
    )


WAIT_SECONDS = 600
"""Time to go to the developer centre and make a test payment."""


def register(
    *,
    url: Annotated[
        str | None, typer.Option("--url", metavar="URL", help="Address of the service or of its webhook; PUBLIC_URL.")
    ] = None,
    language: Annotated[
        Language | None, typer.Option("--language", help="Language of the sheet; that of the shell unless given.")
    ] = None,
    is_checked: Annotated[bool, typer.Option("--check", help="Look whether a delivery arrived (--since).")] = False,
    since: Annotated[
        str, typer.Option("--since", metavar="WHEN", help="For --check: 2h (ago), 2026-03-14, …T09:00 (KST).")
    ] = "1d",
    is_awaited: Annotated[bool, typer.Option("--wait", help="Wait for the next delivery.")] = False,
    timeout_seconds: Annotated[
        float, typer.Option("--timeout", min=1, max=86_400, help="For --wait: seconds.")
    ] = WAIT_SECONDS,
    json: JsonOption = False,
) -> None:
    """Print the fields and check-lists for registering the webhook at Toss, and see whether deliveries arrive."""
    from supatoss.cli.options import read_moment
    from supatoss.cli.session import run_session

    moment = read_moment(since, dt.datetime.now(dt.UTC))
    if is_checked and is_awaited:
        raise typer.BadParameter("either look (--check) or wait (--wait)", param_hint="--check")
    _print_sheet(_webhook_url(url), language or _language_of_the_shell(), json=json)
    if not (is_checked or is_awaited):
        return

    async def look(_settings: "Settings", store: "Store") -> "StoredEvent | None":

        if is_awaited:
            return await wait_for_arrival(store, timeout_seconds)
        return next(iter(await newest_arrivals(store, moment)), None)

    if is_awaited and not json:
        typer.echo(f"\nwaiting up to {timeout_seconds:g} seconds for a delivery; Ctrl-C ends it")
    arrived = run_session(look)
    _print_arrival(arrived, json=json)
    raise typer.Exit(ExitStatus.OK if arrived else ExitStatus.FOUND)


def _webhook_url(given: str | None) -> str:
    """The webhook's URL of an address that may already have its path."""
    from supatoss.cli.sending import WEBHOOK_PATH, check_target

    name = "--url" if given else "PUBLIC_URL"
    text = (given or os.environ.get("PUBLIC_URL", "")).strip()
    if not text:
        raise typer.BadParameter("give --url, or set PUBLIC_URL: https://<app>.fly.dev", param_hint="--url")
    url = check_target(name, text).rstrip("/")
    return url if urlsplit(url).path else url + WEBHOOK_PATH


def _language_of_the_shell() -> Language:
    named = next((value for name in ("LC_ALL", "LC_MESSAGES", "LANG") if (value := os.environ.get(name))), "")
    return Language.KO if named.lower().startswith("ko") else Language.EN


def _print_sheet(url: str, language: Language, *, json: bool) -> None:
    from supatoss.cli.sending import SigningKeys

    sheet = make_sheet(url, SigningKeys.read().kind, language)
    if json:
        print_json(sheet.to_json())
    else:
        typer.echo(to_text(sheet))


def _print_arrival(event: "StoredEvent | None", *, json: bool) -> None:
    if json:
        print_json({"arrived": event is not None, "event": event.to_json() if event else None})
    elif event is None:
        typer.echo("no delivery arrived: see the webhook's history in the developer centre, and supatoss doctor")
    else:
        typer.echo(
            f"arrived: {plain(event.event_type)}, {event.status}, proof {event.proof},"
            f" at {event.created_at.isoformat()}, event {event.id}"
        )
