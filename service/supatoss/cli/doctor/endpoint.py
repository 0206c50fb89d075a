"""Whether the webhook answers at its public address, and only to what is genuine."""

import asyncio
import ipaddress
import socket
from urllib.parse import urlsplit

import httpx

from supatoss.cli.doctor.verdict import Verdict, failed, ok, warning
from supatoss.cli.sending import WEBHOOK_PATH
from supatoss.settings import Settings
from supatoss.toss.delivery import SIGNATURE_HEADER, TIME_HEADER

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
