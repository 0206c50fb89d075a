"""Checks each key at Toss's API: its environment, whether it is accepted, and its merchant id."""

import contextlib
import datetime as dt
import secrets
from http import HTTPStatus

import anyio

from supatoss.cli.doctor import Verdict, failed, ok, warning
from supatoss.cli.sending import kind_of
from supatoss.errors import TossError, TossMisconfigured, TossNotFound, TossUnavailable
from supatoss.settings import Settings
from supatoss.toss.client import TossClient

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
        return failed(check, f"{kind} key, {_trouble(error)}: {error}", _remedy(error, api_url))
    except TossError as error:
        return warning(check, f"{kind} key, answered with {error.code}", "look up the code at docs.tosspayments.com")


async def _merchant_id(toss: TossClient) -> str:
    """The merchant id of a key, from a recent transaction: no other answer of Toss's names it."""
    now = dt.datetime.now(dt.UTC)
    with anyio.move_on_after(TOSS_TIMEOUT_SECONDS), contextlib.suppress(TossError):
        async for page in toss.transactions(toss.keys[0], now - MERCHANT_ID_DAYS, now, page_size=1):
            return f"merchant id {page[0].m_id}" if page[0].m_id else "merchant id unknown: Toss doesn't name it"
        return f"merchant id unknown: no transaction in {MERCHANT_ID_DAYS.days} days"
    return "merchant id unknown: Toss didn't answer"


def _trouble(error: TossUnavailable) -> str:
    return "can't reach Toss" if error.http_status is None else "Toss can't answer now"


def _remedy(error: TossUnavailable, api_url: str) -> str:
    """Depends on the cause: the network, this key's limit, Toss, or a wrong address."""
    status = error.http_status
    if status is None:
        return f"check that TOSS_API_URL ({api_url}) is Toss's address and that this machine can reach it"
    if status == HTTPStatus.TOO_MANY_REQUESTS:
        return "too many requests with this key: run doctor again in a minute"
    if status >= HTTPStatus.INTERNAL_SERVER_ERROR or error.code:
        return (
            "the problem is at Toss: see its status page; until it ends, deliveries get 503 and Toss sends them again"
        )
    return f"what answers at TOSS_API_URL ({api_url}) is not Toss's API: check the address"
