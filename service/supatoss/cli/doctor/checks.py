"""Checks of the settings, the clock, the database, Toss, the alerts and the public endpoint."""

import asyncio
import datetime as dt
import ipaddress
import secrets
import socket
from email.utils import parsedate_to_datetime
from urllib.parse import urlsplit

import httpx

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

SETTINGS = "settings"


async def check_settings(settings: Settings) -> list[Verdict]:
    """Settings that are allowed, and that somebody should know about all the same."""
    found = []
    if settings.toss_unsigned == "reject":
        found.append(
            warning(
                SETTINGS,
                "TOSS_UNSIGNED=reject refuses every payment event: Toss signs payouts and sellers only",
                "set TOSS_UNSIGNED=verify, unless another service receives the payments",
            )
        )
    kinds = {kind_of(key.get_secret_value()) for key in settings.toss_secret_key}
    if {"test", "live"} <= kinds:
        found.append(
            warning(
                SETTINGS,
                "TOSS_SECRET_KEY holds keys of test and of live: a test payment would be believed beside real ones",
                "give each environment a deployment and a project of its own",
            )
        )
    if settings.toss_allowed_ips and not settings.client_ip_header:
        found.append(
            warning(
                SETTINGS,
                "TOSS_ALLOWED_IPS is compared with the peer's own address; behind a proxy that is the proxy's",
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


WARNING_SECONDS = 5.0
"""A Date header is exact to a second, and the answer took a moment."""

FAILED_SECONDS = 60.0
"""An event without a time of its own counts as of its arrival here; a minute puts it before or after its neighbours."""

_MEND = "switch on the synchronisation of this machine's clock (NTP)"


async def check_clock(settings: Settings, http: httpx.AsyncClient) -> list[Verdict]:
    """A verdict for each of the two."""
    return [
        await _compare(http, "clock, Data API", f"{settings.supabase_url}/rest/v1/"),
        await _compare(http, "clock, Toss", f"{settings.toss_api_url}/"),
    ]


async def _compare(http: httpx.AsyncClient, check: str, url: str) -> Verdict:
    before = dt.datetime.now(dt.UTC)
    try:
        answer = await http.get(url)
    except httpx.HTTPError as error:
        return warning(check, f"cannot be compared: {type(error).__name__}", "see the other verdicts on this address")
    middle = before + (dt.datetime.now(dt.UTC) - before) / 2
    return judge(check, answer.headers.get("date", ""), middle)


def judge(check: str, date: str, now: dt.datetime) -> Verdict:
    """Compares an HTTP date, which drops the fraction of its second, with a time."""
    try:
        theirs = parsedate_to_datetime(date).astimezone(dt.UTC) + dt.timedelta(seconds=0.5)
    except ValueError:
        return warning(check, "cannot be compared: the answer has no Date", "compare the clock by hand: date -u")
    seconds = (now - theirs).total_seconds()
    if abs(seconds) <= WARNING_SECONDS:
        return ok(check, f"within {WARNING_SECONDS:g} s")
    message = f"this machine is {abs(seconds):.0f} s {'ahead' if seconds > 0 else 'behind'}"
    return failed(check, message, _MEND) if abs(seconds) > FAILED_SECONDS else warning(check, message, _MEND)


DATA_API = "Data API"
SCHEMA = "schema"

_KEY = "check that SUPABASE_SECRET_KEY is a secret key of this project (Project Settings > API Keys)"
_NO_FUNCTION = "PGRST202"


async def check_database(settings: Settings, store: Store) -> list[Verdict]:
    """Two verdicts where the Data API answers, one where not."""
    try:
        version = await store.schema_version()
    except StoreKeyRefused as error:
        return [failed(DATA_API, str(error), _KEY)]
    except StoreUnavailable as error:
        mend = f"see that SUPABASE_URL ({settings.supabase_url}) is the project's address and the project is not paused"
        return [failed(DATA_API, str(error), mend)]
    except StoreError as error:
        if _NO_FUNCTION in str(error):
            return [ok(DATA_API, settings.supabase_url), failed(SCHEMA, "no migration of supatoss is there", MIGRATE)]
        return [failed(DATA_API, str(error), _KEY)]
    reached = ok(DATA_API, f"{settings.supabase_url} answers and accepts the key")
    if version < SCHEMA_VERSION:
        return [reached, failed(SCHEMA, f"version {version}; this release needs {SCHEMA_VERSION}", MIGRATE)]
    return [reached, ok(SCHEMA, f"version {version}")]


TIMEOUT_SECONDS = 5.0
"""A person waits; Toss answers a look-up in well under a second."""


async def check_toss(settings: Settings) -> list[Verdict]:
    """A verdict a key, by its number in TOSS_SECRET_KEY; a key itself is never shown."""
    keys = [key.get_secret_value() for key in settings.toss_secret_key]
    return [
        await _check_key(settings.toss_api_url, key, f"Toss key {number} of {len(keys)}")
        for number, key in enumerate(keys, 1)
    ]


async def _check_key(api_url: str, key: str, check: str) -> Verdict:
    kind = kind_of(key)
    try:
        async with TossClient(api_url, [key]) as toss:
            await toss.payment_by_order(f"supatoss-doctor-{secrets.token_hex(8)}", timeout_seconds=TIMEOUT_SECONDS)
    except TossNotFound:
        if kind == "unknown":
            return warning(check, "accepted, but neither test_ nor live_", "see which environment it belongs to")
        return ok(check, f"{kind} key, accepted")
    except TossMisconfigured as error:
        mend = "copy the secret key again from developers.tosspayments.com > API keys, and see that it is still alive"
        return failed(check, f"{kind} key, not accepted: {error.code}", mend)
    except TossUnavailable as error:
        return failed(check, f"{kind} key, could not be asked: {error}", f"see that this machine reaches {api_url}")
    except TossError as error:
        return warning(
            check, f"{kind} key, answered with {error.code}", "see what the code means: docs.tosspayments.com"
        )
    return warning(
        check, f"{kind} key: Toss knows an order that was made up just now", f"see what answers at {api_url}"
    )


ALERTS = "alerts"

_TEXT = "supatoss: this is a test alert, sent by `supatoss doctor`. 테스트 알림입니다."


async def check_alerts(settings: Settings, http: httpx.AsyncClient, *, sends: bool) -> list[Verdict]:
    """Whether there is a target; with `sends` also whether it takes a message. Its URL is a secret and not shown."""
    target = settings.alert_webhook_url
    if target is None:
        mend = "set ALERT_WEBHOOK_URL to an incoming webhook of Slack or Discord"
        return [warning(ALERTS, "nobody is told: ALERT_WEBHOOK_URL is not set", mend)]
    if not sends:
        return [ok(ALERTS, "a target is set; to see that it takes messages: --send-test-alert")]
    mend = "make a new incoming webhook, and set ALERT_WEBHOOK_URL to its address"
    try:
        answer = await http.post(target.get_secret_value(), json={"text": _TEXT, "content": _TEXT})
    except httpx.HTTPError as error:
        return [failed(ALERTS, f"the target cannot be reached: {type(error).__name__}", mend)]
    if not answer.is_success:
        return [failed(ALERTS, f"the target answers HTTP {answer.status_code}", mend)]
    return [ok(ALERTS, "the target took a test message")]


ADDRESS = "public address"
READY = "public /readyz"
WEBHOOK = "public webhook"

_BODY = b'{"eventType":"supatoss.doctor"}'
_WRONG_SIGNATURE = {SIGNATURE_HEADER: "0" * 64, TIME_HEADER: "2026-01-01T00:00:00+09:00"}
_TUNNEL = "Toss needs a public https address: deploy, or register a tunnel's URL and set PUBLIC_URL to it"


async def check_endpoint(settings: Settings, http: httpx.AsyncClient) -> list[Verdict]:
    """Where Toss would reach it, whether it is ready, and that it refuses what nobody vouches for."""
    if not settings.public_url:
        mend = "set PUBLIC_URL to the address that Toss reaches, https://<app>.fly.dev"
        return [warning(ADDRESS, "not looked at: PUBLIC_URL is not set", mend)]
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
        return failed(ADDRESS, f"{host} has no address", "see PUBLIC_URL and the name's DNS records")
    if not all(ipaddress.ip_address(address[0]).is_global for *_, address in found):
        return warning(ADDRESS, f"{host} is reached from this machine or its network alone", _TUNNEL)
    if parts.scheme != "https":
        return warning(ADDRESS, f"{url} is not encrypted", "register the https address")
    return ok(ADDRESS, url)


async def _check_ready(http: httpx.AsyncClient, url: str) -> Verdict:
    mend = "see that PUBLIC_URL is the service's own address and the service runs (its logs say why it does not)"
    try:
        answer = await http.get(f"{url}/readyz")
    except httpx.HTTPError as error:
        return failed(READY, f"no answer: {type(error).__name__}", mend)
    content = _object(answer)
    if answer.is_success and content.get("status") == "ready":
        return ok(READY, f"ready, schema version {content.get('schema_version')}")
    if answer.status_code == httpx.codes.SERVICE_UNAVAILABLE and "problem" in content:
        return failed(READY, f"not ready: {content['problem']}", "mend that; the verdicts above may say how")
    return failed(READY, f"HTTP {answer.status_code}, and not by supatoss", mend)


async def _check_webhook(http: httpx.AsyncClient, url: str) -> Verdict:
    """An unsigned delivery that nothing vouches for, and one whose signature is wrong; neither is ever stored."""
    for what, headers in (("unsigned", {}), ("wrongly signed", _WRONG_SIGNATURE)):
        try:
            answer = await http.post(url, content=_BODY, headers={"content-type": "application/json", **headers})
        except httpx.HTTPError as error:
            return failed(WEBHOOK, f"no answer: {type(error).__name__}", "see the verdict on /readyz")
        if answer.is_redirect:
            target = answer.headers.get("location", "?")
            return failed(
                WEBHOOK, f"redirects to {target}", "register the address it redirects to: Toss may not follow"
            )
        if answer.is_success:
            return failed(WEBHOOK, f"believes a delivery that is {what}", "see what answers there; it is not supatoss")
        if answer.status_code != httpx.codes.UNAUTHORIZED:
            mend = "see that a proxy lets POST with a body through to the service"
            return failed(WEBHOOK, f"answers HTTP {answer.status_code} to what is {what}, not 401", mend)
    return ok(WEBHOOK, f"{url} refuses what is unsigned or wrongly signed")


def _object(answer: httpx.Response) -> dict[str, object]:
    try:
        content = answer.json()
    except ValueError:
        return {}
    return content if isinstance(content, dict) else {}
