"""Whether Toss accepts each secret key. Asked with the look-up of an order that cannot be there: nothing changes."""

import secrets

from supatoss.cli.doctor.verdict import Verdict, failed, ok, warning
from supatoss.cli.signing import kind_of
from supatoss.errors import TossError, TossMisconfigured, TossNotFound, TossUnavailable
from supatoss.settings import Settings
from supatoss.toss.api import TossApi

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
        async with TossApi(api_url, [key]) as toss:
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
