"""Where an operator looks at Toss."""

from typing import Any
from urllib.parse import urlsplit

DEVELOPERS = "https://developers.tosspayments.com/"
DASHBOARD = "https://app.tosspayments.com/"


def links_to_toss(payment: dict[str, Any] | None) -> list[dict[str, str]]:
    """Name and address of each. Toss documents no address of one payment, so only its receipt is linked straight."""
    links = [{"name": "developers", "url": DEVELOPERS}, {"name": "dashboard", "url": DASHBOARD}]
    receipt = str((payment or {}).get("receipt_url") or "")
    return [{"name": "receipt", "url": receipt}, *links] if is_of_toss(receipt) else links


def is_of_toss(url: str) -> bool:
    """Whether an address from data is one of Toss's own pages."""
    try:
        parts = urlsplit(url)
        host = parts.hostname or ""
    except ValueError:
        return False
    return parts.scheme == "https" and (host == "tosspayments.com" or host.endswith(".tosspayments.com"))
