"""Checks of the settings, the clock, the database, the alerts and the public endpoint."""

import asyncio
import datetime as dt
import ipaddress
import socket
from email.utils import parsedate_to_datetime
from urllib.parse import urlsplit

import httpx

from supatoss.app import open_alert_target
from supatoss.causes import failure
from supatoss.cli.doctor import Verdict, failed, ok, skipped, warning
from supatoss.cli.sending import WEBHOOK_PATH
from supatoss.errors import SchemaMismatch, StoreError
from supatoss.receiving import PROBE_HEADER
from supatoss.settings import Settings
from supatoss.store import Store
from supatoss.store.keys import is_legacy_key
from supatoss.store.schema import SCHEMA_VERSION, mismatch
from supatoss.toss.delivery import SIGNATURE_HEADER, TIME_HEADER
from supatoss.urls import is_loopback

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
"""A Date header has a resolution of one second, and the answer takes a moment."""

CLOCK_FAILED_SECONDS = 60.0
"""Events without a time of their own get the time of arrival; a minute would change their order."""

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
        return skipped(check, f"can't verify: {failure(error, url)}")
    middle = before + (dt.datetime.now(dt.UTC) - before) / 2
    return judge(check, answer.headers.get("date", ""), middle)


def judge(check: str, date: str, now: dt.datetime) -> Verdict:
    """Compares an HTTP date, which has no fraction of a second, with a time."""
    try:
        theirs = parsedate_to_datetime(date).astimezone(dt.UTC) + dt.timedelta(seconds=0.5)
    except ValueError:
        return skipped(check, "can't verify: the answer has no Date", "check the clock by hand: date -u")
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


async def check_database(settings: Settings, store: Store) -> list[Verdict]:
    """Whether the Data API answers, and whether the migrations are those of this release."""
    try:
        version: int | None = await store.schema_version()
    except SchemaMismatch:
        version = None
    except StoreError as error:
        remedy = error.remedy or "see the project's logs"
        return [failed(DATA_API, f"{settings.supabase_url}: {error}", remedy)]
    reached = ok(DATA_API, f"{settings.supabase_url} answers and accepts the key")
    differs = mismatch(version)
    if differs is None:
        return [reached, ok(SCHEMA, f"version {version}")]
    return [reached, (warning if version and version > SCHEMA_VERSION else failed)(SCHEMA, *differs)]


ALERTS = "alerts"

_TEST_ALERT = "supatoss: test alert from `supatoss doctor`. 테스트 알림입니다."


async def check_alerts(settings: Settings, http: httpx.AsyncClient, *, sends: bool) -> list[Verdict]:
    """Whether there is a target; with `sends`, whether it accepts a message. Its URL is a secret and never shown."""
    target = open_alert_target(settings)
    if target is None and is_on_this_machine(settings.supabase_url):
        return [skipped(ALERTS, "ALERT_WEBHOOK_URL is not set; a local stack needs no alerts")]
    if target is None:
        fix = "set ALERT_WEBHOOK_URL to an incoming webhook of Slack or Discord"
        return [warning(ALERTS, "nobody is alerted: ALERT_WEBHOOK_URL is not set", fix)]
    if not sends:
        return [ok(ALERTS, "a target is set; to test it: --send-test-alert")]
    fix = "create a new incoming webhook and set ALERT_WEBHOOK_URL to its address"
    try:
        answer = await target.post(http, target.compose_test(_TEST_ALERT))
    except httpx.HTTPError as error:
        return [failed(ALERTS, f"the target cannot be reached: {failure(error, 'ALERT_WEBHOOK_URL')}", fix)]
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
    is_local = is_on_this_machine(settings.supabase_url)
    if not settings.public_url:
        fix = "set PUBLIC_URL to the service's public address, https://<app>.fly.dev"
        return [(skipped if is_local else warning)(ADDRESS, "not checked: PUBLIC_URL is not set", fix)]
    return [
        skipped(ADDRESS, f"{settings.public_url} is on this machine, where Toss itself can't reach it")
        if is_local and is_on_this_machine(settings.public_url)
        else await _check_address(settings.public_url),
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
        return failed(READY, f"no answer: {failure(error, 'PUBLIC_URL')}", fix)
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
            problem = failure(error, "PUBLIC_URL")
            return failed(WEBHOOK, f"no answer: {problem}", "see the verdict about /readyz")
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


def is_on_this_machine(url: str) -> bool:
    """Whether an address is one of a local stack."""
    return is_loopback(urlsplit(url).hostname or "")


def _object(answer: httpx.Response) -> dict[str, object]:
    try:
        content = answer.json()
    except ValueError:
        return {}
    return content if isinstance(content, dict) else {}
