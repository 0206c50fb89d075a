"""Whether the settings make sense together."""

from supatoss.cli.doctor.verdict import Verdict, ok, warning
from supatoss.cli.signing import kind_of
from supatoss.settings import Settings

NAME = "settings"


async def check_settings(settings: Settings) -> list[Verdict]:
    """Settings that are allowed, and that somebody should know about all the same."""
    found = []
    if settings.toss_unsigned == "reject":
        found.append(
            warning(
                NAME,
                "TOSS_UNSIGNED=reject refuses every payment event: Toss signs payouts and sellers only",
                "set TOSS_UNSIGNED=verify, unless another service receives the payments",
            )
        )
    kinds = {kind_of(key.get_secret_value()) for key in settings.toss_secret_key}
    if {"test", "live"} <= kinds:
        found.append(
            warning(
                NAME,
                "TOSS_SECRET_KEY holds keys of test and of live: a test payment would be believed beside real ones",
                "give each environment a deployment and a project of its own",
            )
        )
    if settings.toss_allowed_ips and not settings.client_ip_header:
        found.append(
            warning(
                NAME,
                "TOSS_ALLOWED_IPS is compared with the peer's own address; behind a proxy that is the proxy's",
                "set CLIENT_IP_HEADER to the header that the proxy sets (Fly.io: Fly-Client-IP)",
            )
        )
    return found or [ok(NAME, "complete")]
