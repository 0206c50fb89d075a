"""The shop's orders: rows of `payments`, written with the secret key and only on the server."""

import secrets
from typing import Any, cast

from supabase import AsyncClient

UNPAID = ("PENDING", "READY", "IN_PROGRESS", "ABORTED", "EXPIRED", "FAILED")
"""States that a confirmation may change. Any other was written by a webhook that came first and knows more."""


class Orders:
    """The table, as the shop uses it."""

    def __init__(self, supabase: AsyncClient) -> None:
        self._supabase = supabase

    async def store(self, name: str, amount: int) -> str:
        """Stores a new order with its price, before anything is paid. Returns its id, which nobody can guess."""
        order_id = f"order_{secrets.token_urlsafe(12)}"
        order = {
            "order_id": order_id,
            "payment_key": order_id,  # Toss's key is not known yet, and the column is unique
            "order_name": name,
            "amount": amount,
            "payment_status": "PENDING",
        }
        await self._supabase.table("payments").insert(order).execute()
        return order_id

    async def find(self, order_id: str) -> dict[str, Any] | None:
        """The order's row."""
        columns = "order_id, order_name, amount, payment_status, failure_code, failure_message, virtual_account"
        found = await self._supabase.table("payments").select(columns).eq("order_id", order_id).execute()
        return cast("dict[str, Any]", found.data[0]) if found.data else None

    async def confirmed(self, order_id: str, payment: dict[str, Any]) -> None:
        """Writes what Toss answered to the confirmation."""
        await self._update(
            order_id,
            {
                "payment_key": payment["paymentKey"],
                "payment_status": payment["status"],
                "payment_method": payment["method"],
                "approved_at": payment["approvedAt"],
                "receipt_url": (payment["receipt"] or {}).get("url"),
                "virtual_account": payment["virtualAccount"],
            },
            UNPAID,
        )

    async def refused(self, order_id: str, code: str, message: str) -> None:
        """Writes why Toss refused."""
        failure = {"payment_status": "FAILED", "failure_code": code, "failure_message": message}
        await self._update(order_id, failure, ("PENDING",))

    async def _update(self, order_id: str, values: dict[str, Any], statuses: tuple[str, ...]) -> None:
        rows = self._supabase.table("payments").update(values)
        await rows.eq("order_id", order_id).in_("payment_status", statuses).execute()
