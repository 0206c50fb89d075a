"""@supabase/stripe-sync-engine behind a Node server, without a Data API: one upsert per event, no event log."""

import hashlib
import hmac
import json
import shutil
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks.latency import Report
from benchmarks.measure import Driven, Running
from benchmarks.peers.base import install_peers, servers
from benchmarks.requests import WEBHOOK_PATH, render, write_requests
from benchmarks.rows import Rows, ServerRows
from benchmarks.stack import Stack
from benchmarks.workload import Sending
from scripts.local_stack import StackError, find_node

DATABASE = "bench_stripe"
SECRET = "whsec_made_up_for_benchmarks"  # noqa: S105 - opens nothing
SIGNED_AT = 4102444800
"""2100-01-01: Stripe's library refuses signatures older than five minutes, but accepts future ones."""

MIGRATION_SECONDS = 120.0


@dataclass(frozen=True, slots=True)
class StripeSync:
    """Receives payment_intent.succeeded events, as many and as large as supatoss's."""

    name: str = "stripe-sync-engine, Node (PostgreSQL 18, no Data API)"

    @contextmanager
    def start(self, stack: Stack, sendings: Sequence[Sending]) -> Iterator[Running]:
        """Runs it, ready to be driven with events of the same orders."""
        modules = install_peers()
        rows = ServerRows(_database(stack, modules))
        requests = stack.folder / "stripe.requests"
        write_requests(requests, map(stripe_request, sendings))
        environment = {"DATABASE_URL": rows.dsn, "STRIPE_WEBHOOK_SECRET": SECRET}
        command = [find_node().program, _program(modules, "stripe_server.mjs")]
        with servers([command], environment, stack, "/healthz", "stripe") as (server,):
            yield Driven(
                [server.address],
                requests,
                {"service": [server.child.pid], "postgres": stack.postgres_processes},
                on_reset=lambda: rows.execute("truncate stripe.payment_intents"),
                on_verify=lambda report: _verify(rows, sendings[: report.sent], report),
            )


def stripe_request(sending: Sending) -> bytes:
    """The same payment as a signed Stripe event."""
    body = json.dumps(_event(json.loads(sending.body)["data"]), ensure_ascii=False, separators=(",", ":")).encode()
    signature = hmac.digest(SECRET.encode(), f"{SIGNED_AT}.".encode() + body, hashlib.sha256).hex()
    return render(WEBHOOK_PATH, body, {"stripe-signature": f"t={SIGNED_AT},v1={signature}"})


def _event(payment: dict[str, Any]) -> dict[str, Any]:
    intent = f"pi_{payment['orderId']}"
    nothing = (
        "amount_details",
        "application",
        "application_fee_amount",
        "canceled_at",
        "cancellation_reason",
        "review",
    )
    neither = ("customer", "invoice", "last_payment_error", "next_action", "on_behalf_of", "processing", "shipping")
    return {
        "id": f"evt_{payment['lastTransactionKey']}",
        "object": "event",
        "api_version": "2020-08-27",
        "created": 1773450067,
        "type": "payment_intent.succeeded",
        "livemode": False,
        "pending_webhooks": 1,
        "request": {"id": None, "idempotency_key": payment["paymentKey"]},
        "data": {
            "object": {
                "id": intent,
                "object": "payment_intent",
                "amount": payment["totalAmount"],
                "amount_capturable": 0,
                "amount_received": payment["totalAmount"],
                **dict.fromkeys((*nothing, *neither)),
                "automatic_payment_methods": {"allow_redirects": "always", "enabled": True},
                "capture_method": "automatic",
                "client_secret": f"{intent}_secret_{payment['secret']}",
                "confirmation_method": "automatic",
                "created": 1773450040,
                "currency": "krw",
                "description": payment["orderName"],
                "livemode": False,
                "metadata": {"order_id": payment["orderId"], "receipt": payment["receipt"]["url"]},
                "payment_method": f"pm_{payment['paymentKey']}",
                "payment_method_options": {"card": {"installments": None, "request_three_d_secure": "automatic"}},
                "payment_method_types": ["card"],
                "receipt_email": None,
                "setup_future_usage": None,
                "statement_descriptor": None,
                "statement_descriptor_suffix": None,
                "status": "succeeded",
                "transfer_data": None,
                "transfer_group": None,
            }
        },
    }


def _database(stack: Stack, modules: Path) -> str:
    """A database with the engine's schema, created once for each stack."""
    dsn = stack.postgres.dsn(DATABASE)
    marker = stack.folder / DATABASE
    if not marker.exists():
        stack.postgres.create_database(DATABASE)
        command = [str(find_node().program), str(_program(modules, "stripe_migrate.mjs")), dsn]
        done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=MIGRATION_SECONDS)
        if done.returncode:
            raise StackError(f"stripe-sync-engine could not migrate:\n{done.stderr}")
        marker.touch()
    return dsn


def _program(modules: Path, name: str) -> Path:
    """Copies a program of ours beside the packages it imports."""
    program = modules.parent / name
    shutil.copyfile(Path(__file__).with_name(name), program)
    return program


def _verify(rows: Rows, sendings: Sequence[Sending], report: Report) -> list[str]:
    (found,) = rows.query(
        "select count(*) as payments, coalesce(sum(amount), 0) as amount from stripe.payment_intents"
        " where status = 'succeeded'"
    )
    amounts = {data["orderId"]: data["totalAmount"] for data in (json.loads(one.body)["data"] for one in sendings)}
    expected = (len(amounts), sum(amounts.values()))
    stored = (found["payments"], found["amount"])
    if report.acknowledged == report.sent and stored != expected:
        return [f"(payments, amount) are {stored}, the events say {expected}"]
    return []
