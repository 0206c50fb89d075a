"""Checks of the settings, the clock, the database, Toss, the alerts and the public endpoint."""

import asyncio
import contextlib
import datetime as dt
import ipaddress
import secrets
import socket
from email.utils import parsedate_to_datetime
from urllib.parse import urlsplit

import anyio
import httpx

from supatoss.app import open_alert_target
from supatoss.cli.doctor import MIGRATE, Verdict, failed, ok, warning
from supatoss.cli.sending import WEBHOOK_PATH, kind_of
from supatoss.errors import (
    StoreError,
    StoreKeyRefused,
    StoreUnavailable,
    TossError,
    TossMisconfigured,
    TossNotFound,
    TossUnavailable,
)
from supatoss.settings import Settings
from supatoss.store import Store
from supatoss.store.client import SCHEMA_VERSION, is_legacy_key
from supatoss.toss.client import TossClient
from supatoss.toss.delivery import SIGNATURE_HEADER, TIME_HEADER
from supatoss.webhook import PROBE_HEADER

SETTINGS = "settings"


async def check_settings(settings: Settings) -> list[Verdict]:
    """Settings that are valid but probably not meant."""
    found = []
    if settings.toss_unsigned == "reject":
        found.append(
            warning(
                SETTINGS,
                "TOSS_UNSIGNED=reject refuses every payment event: Toss signs only payouts and sellers",
                "set TOSS_UNSIGNED=verify, unless another service receives the payments",
            )
        )
    if settings.toss_allowed_ips and not settings.client_ip_header:
        found.append(
            warning(
                SETTINGS,
                "TOSS_ALLOWED_IPS is compared with the peer's address; behind a proxy that is the proxy's",
                "set CLIENT_IP_HEADER to the header that the proxy sets (Fly.io: Fly-Client-IP)",
            )
        )
    for name, key, kind, newer in (
        ("SUPABASE_SECRET_KEY", settings.supabase_secret_key, "service_role", "secret key (sb_secret_…)"),
        ("SUPABASE_PUBLISHABLE_KEY", settings.supabase_publishable_key, "anon", "publishable key (sb_publishable_…)"),
    ):
        if key and is_legacy_key(key.get_secret_value()):
            found.append(
                warning(
                    SETTINGS,
                    f"{name} is a legacy {kind} key; Supabase deprecates these by the end of 2026",
                    f"replace it with a {newer}: Project Settings > API Keys",
                )
            )
    return found or [ok(SETTINGS, "complete")]


CLOCK_WARNING_SECONDS = 5.0
"""A Date header has a resolution of one second, and the answer took a moment."""

CLOCK_FAILED_SECONDS = 60.0
"""Events without their own time get the time of arrival; a minute would change their order."""

_SYNC_CLOCK = "synchronise this machine's clock (NTP)"


async def check_clock(settings: Settings, http: httpx.AsyncClient) -> list[Verdict]:
    """This machine's clock against the Data API's and Toss's."""
    return [
        await _compare(http, "clock, Data API", f"{settings.supabase_url}/rest/v1/"),
        await _compare(http, "clock, Toss", f"{settings.toss_api_url}/"),
    ]


async def _compare(http: httpx.AsyncClient, check: str, url: str) -> Verdict:
    before = dt.datetime.now(dt.UTC)
    try:
        answer = await http.get(url)
    except httpx.HTTPError as error:
        return warning(check, f"can't compare: {type(error).__name__}", "see the other verdicts about this address")
    middle = before + (dt.datetime.now(dt.UTC) - before) / 2
    return judge(check, answer.headers.get("date", ""), middle)


def judge(check: str, date: str, now: dt.datetime) -> Verdict:
    """Compares an HTTP date, which has no fraction of a second, with a time."""
    try:
        theirs = parsedate_to_datetime(date).astimezone(dt.UTC) + dt.timedelta(seconds=0.5)
    except ValueError:
        return warning(check, "can't compare: the answer has no Date", "check the clock by hand: date -u")
    seconds = (now - theirs).total_seconds()
    if abs(seconds) <= CLOCK_WARNING_SECONDS:
        return ok(check, f"within {CLOCK_WARNING_SECONDS:g} s")
    message = f"this machine is {abs(seconds):.0f} s {'ahead' if seconds > 0 else 'behind'}"
    return (
        failed(check, message, _SYNC_CLOCK)
        if abs(seconds) > CLOCK_FAILED_SECONDS
        else warning(check, message, _SYNC_CLOCK)
    )


DATA_API = "Data API"
SCHEMA = "schema"

_KEY = "check that SUPABASE_SECRET_KEY is a secret key of this project (Project Settings > API Keys)"
_NO_FUNCTION = "PGRST202"


async def check_database(settings: Settings, store: Store) -> list[Verdict]:
    """Whether the Data API answers, and if so, whether the migrations are there."""
    try:
        version = await store.schema_version()
    except StoreKeyRefused as error:
        return [failed(DATA_API, str(error), _KEY)]
    except StoreUnavailable as error:
        fix = (
            f"check that SUPABASE_URL ({settings.supabase_url}) is the project's address and the project is not paused"
        )
        return [failed(DATA_API, str(error), fix)]
    except StoreError as error:
        if _NO_FUNCTION in str(error):
            return [ok(DATA_API, settings.supabase_url), failed(SCHEMA, "supatoss's migrations are missing", MIGRATE)]
        return [failed(DATA_API, str(error), _KEY)]
    reached = ok(DATA_API, f"{settings.supabase_url} answers and accepts the key")
    if version < SCHEMA_VERSION:
        return [reached, failed(SCHEMA, f"version {version}; this release needs {SCHEMA_VERSION}", MIGRATE)]
    return [reached, ok(SCHEMA, f"version {version}")]


TOSS_TIMEOUT_SECONDS = 5.0
"""Toss usually answers a look-up in well under a second."""

MERCHANT_ID_DAYS = dt.timedelta(days=7)


async def check_toss(settings: Settings) -> list[Verdict]:
    """One verdict for each key, by its position in TOSS_SECRET_KEY; the key itself is never shown."""
    keys = [key.get_secret_value() for key in settings.toss_secret_key]
    return [
        await _check_key(settings.toss_api_url, key, f"Toss key {number} of {len(keys)}")
        for number, key in enumerate(keys, 1)
    ]


async def _check_key(api_url: str, key: str, check: str) -> Verdict:
    kind = kind_of(key)
    try:
        async with TossClient(api_url, [key]) as toss:
            try:
                await toss.payment_by_order(
                    f"supatoss-doctor-{secrets.token_hex(8)}", timeout_seconds=TOSS_TIMEOUT_SECONDS
                )
            except TossNotFound:
                pass
            else:
                fix = f"check what is running at {api_url}"
                return warning(check, f"{kind} key: Toss found an order that does not exist", fix)
            merchant_id = await _merchant_id(toss)
        if kind == "unknown":
            return warning(check, "accepted, but neither test_ nor live_", "check which environment it belongs to")
        return ok(check, f"{kind} key, accepted; {merchant_id}")
    except TossMisconfigured as error:
        fix = "copy the secret key again from developers.tosspayments.com > API keys, and check that it is still active"
        return failed(check, f"{kind} key, not accepted: {error.code}", fix)
    except TossUnavailable as error:
        return failed(check, f"{kind} key, can't reach Toss: {error}", f"check that this machine can reach {api_url}")
    except TossError as error:
        return warning(check, f"{kind} key, answered with {error.code}", "look up the code at docs.tosspayments.com")


async def _merchant_id(toss: TossClient) -> str:
    """The MID that a key belongs to, from a transaction of the last days: no other answer about a key names it."""
    now = dt.datetime.now(dt.UTC)
    with anyio.move_on_after(TOSS_TIMEOUT_SECONDS), contextlib.suppress(TossError):
        async for page in toss.transactions(toss.keys[0], now - MERCHANT_ID_DAYS, now, page_size=1):
            return f"merchant id {page[0].m_id}" if page[0].m_id else "merchant id not named by Toss"
        return f"no transaction in {MERCHANT_ID_DAYS.days} days names its merchant id"
    return "its merchant id could not be asked for"


ALERTS = "alerts"

_TEST_ALERT = "supatoss: test alert from `supatoss doctor`. 테스트 알림입니다."


async def check_alerts(settings: Settings, http: httpx.AsyncClient, *, sends: bool) -> list[Verdict]:
    """Whether there is a target; with `sends`, whether it accepts a message. Its URL is a secret and never shown."""
    target = open_alert_target(settings)
    if target is None:
        fix = "set ALERT_WEBHOOK_URL to an incoming webhook of Slack or Discord"
        return [warning(ALERTS, "nobody is alerted: ALERT_WEBHOOK_URL is not set", fix)]
    if not sends:
        return [ok(ALERTS, "a target is set; to test it: --send-test-alert")]
    fix = "create a new incoming webhook and set ALERT_WEBHOOK_URL to its address"
    try:
        answer = await target.post(http, target.compose_test(_TEST_ALERT))
    except httpx.HTTPError as error:
        return [failed(ALERTS, f"the target cannot be reached: {type(error).__name__}", fix)]
    if not answer.is_success:
        return [failed(ALERTS, f"the target answers HTTP {answer.status_code}", fix)]
    return [ok(ALERTS, "the target accepted a test message")]


ADDRESS = "public address"
READY = "public /readyz"
WEBHOOK = "public webhook"

_BODY = b'{"eventType":"payout.changed"}'
"""Toss signs this type, so without a signature it is refused at once; an unknown type would be answered 200."""

_WRONG_SIGNATURE = {SIGNATURE_HEADER: "0" * 64, TIME_HEADER: "2026-01-01T00:00:00+09:00"}
_PROBE = {"content-type": "application/json", PROBE_HEADER: "doctor"}
_TUNNEL = "Toss needs a public https address: deploy, or register a tunnel's URL and set PUBLIC_URL to it"


async def check_endpoint(settings: Settings, http: httpx.AsyncClient) -> list[Verdict]:
    """Whether Toss can reach it, whether it is ready, and whether it refuses forgeries."""
    if not settings.public_url:
        fix = "set PUBLIC_URL to the service's public address, https://<app>.fly.dev"
        return [warning(ADDRESS, "not checked: PUBLIC_URL is not set", fix)]
    return [
        await _check_address(settings.public_url),
        await _check_ready(http, settings.public_url),
        await _check_webhook(http, settings.public_url + WEBHOOK_PATH),
    ]


async def _check_address(url: str) -> Verdict:
    parts = urlsplit(url)
    host = parts.hostname or ""
    try:
        found = await asyncio.get_running_loop().getaddrinfo(host, None, type=socket.SOCK_STREAM)
    except OSError:
        return failed(ADDRESS, f"{host} has no address", "check PUBLIC_URL and its DNS records")
    if not all(ipaddress.ip_address(address[0]).is_global for *_, address in found):
        return warning(ADDRESS, f"{host} is reachable only from this machine or its network", _TUNNEL)
    if parts.scheme != "https":
        return warning(ADDRESS, f"{url} is not encrypted", "register the https address")
    return ok(ADDRESS, url)


async def _check_ready(http: httpx.AsyncClient, url: str) -> Verdict:
    fix = "check that PUBLIC_URL is the service's address and that the service runs (see its logs)"
    try:
        answer = await http.get(f"{url}/readyz")
    except httpx.HTTPError as error:
        return failed(READY, f"no answer: {type(error).__name__}", fix)
    content = _object(answer)
    if answer.is_success and content.get("status") == "ready":
        return ok(READY, f"ready, schema version {content.get('schema_version')}")
    if answer.status_code == httpx.codes.SERVICE_UNAVAILABLE and "problem" in content:
        return failed(READY, f"not ready: {content['problem']}", "fix that; the verdicts above may say how")
    return failed(READY, f"HTTP {answer.status_code}, but not from supatoss", fix)


async def _check_webhook(http: httpx.AsyncClient, url: str) -> Verdict:
    """Sends an unsigned forgery and one with a wrong signature; neither is ever stored."""
    for what, headers in (("unsigned", {}), ("wrongly signed", _WRONG_SIGNATURE)):
        try:
            answer = await http.post(url, content=_BODY, headers={**_PROBE, **headers})
        except httpx.HTTPError as error:
            return failed(WEBHOOK, f"no answer: {type(error).__name__}", "see the verdict about /readyz")
        if answer.is_redirect:
            target = answer.headers.get("location", "?")
            return failed(
                WEBHOOK, f"redirects to {target}", "register the address it redirects to: Toss may not follow redirects"
            )
        if answer.is_success:
            return failed(
                WEBHOOK, f"accepts a delivery that is {what}", "check what is running there; it is not supatoss"
            )
        if answer.status_code != httpx.codes.UNAUTHORIZED:
            fix = "check that the proxy passes POST requests with a body to the service"
            return failed(WEBHOOK, f"answers HTTP {answer.status_code} to a delivery that is {what}, not 401", fix)
    return ok(WEBHOOK, f"{url} refuses unsigned and wrongly signed deliveries")


def _object(answer: httpx.Response) -> dict[str, object]:
    try:
        content = answer.json()
    except ValueError:
        return {}
    return content if isinstance(content, dict) else {}
