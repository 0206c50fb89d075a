"""Posting webhooks to an application, and showing each with its answer."""

import asyncio
import hashlib
import hmac
import json
import secrets
import time
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import typer

from supatoss.cli.options import Form
from supatoss.cli.output import ExitStatus, plain, print_json, print_note
from supatoss.cli.sending import SECRET_KEY, SECURITY_KEY, SigningKeys, delivery_headers

if TYPE_CHECKING:
    from supatoss.cli.sending import Answer, Sender
    from supatoss.log_lines import Lines
    from supatoss.store.events import StoredEvent

RETRY_SECONDS = 1.0
"""Between two tries while the application is down."""

SHOWN_CHARACTERS = 80


@dataclass(slots=True)
class Forwarding:
    """Posts bodies to the application, and shows each with its answer."""

    sender: "Sender"
    keys: SigningKeys
    form: Form | None
    lines: "Lines"
    is_json: bool
    waits: bool
    """Whether it waits while the application is down."""

    counts: Counter[str] = field(default_factory=Counter)

    async def deliver(self, body: bytes, event_type: str, about: Mapping[str, Any]) -> "Answer":
        """Posts one body, signed now. It waits for an application that is down, not for one that hangs."""
        form = self.form or self.keys.form_for(event_type)
        is_announced = False
        while True:
            started = time.perf_counter()
            answer = await self.sender.send(body, delivery_headers(body, self.keys, form))
            milliseconds = (time.perf_counter() - started) * 1000
            if answer.is_reached or not self.waits:
                break
            if not is_announced:
                print_note(f"{answer}; waiting")
                is_announced = True
            await asyncio.sleep(RETRY_SECONDS)
        self.counts["delivered" if answer.exit_status is ExitStatus.OK else "refused"] += 1
        self._show(event_type, about, answer, milliseconds)
        return answer

    def skip(self, event: "StoredEvent", problem: str) -> None:
        """Shows an event that can't be forwarded."""
        self.counts["skipped"] += 1
        if self.is_json:
            print_json({**identity_of(event), "http_status": None, "answer": None, "problem": problem})
        else:
            typer.echo(f"{event.id}  {plain(event.event_type)}  {problem}")

    def summary(self) -> str:
        """How many were delivered, refused and skipped."""
        named = (f"{self.counts[name]} {name}" for name in ("delivered", "refused", "skipped") if self.counts[name])
        return ", ".join(named)

    def _show(self, event_type: str, about: Mapping[str, Any], answer: "Answer", milliseconds: float) -> None:
        if self.is_json:
            told = {"http_status": answer.status, "answer": answer.content, "problem": answer.problem}
            print_json({**about.get("identity", {"event_type": event_type}), **told})
            return
        said = plain(answer)
        shown = said if len(said) <= SHOWN_CHARACTERS else f"{said[:SHOWN_CHARACTERS]}…"
        fields = {"event_type": event_type, **about}
        typer.echo(self.lines.line(fields, shown, "processed" if answer.status == 200 else "failed", milliseconds))


def signing_keys(key_env: str | None, of_inbox: str | None) -> SigningKeys:
    """The named key, else keys that are always the same for an inbox: an application can keep them in its settings."""
    if key_env:
        return SigningKeys.read(key_env)
    root = (of_inbox or secrets.token_hex(32)).encode()
    secret, security = (hmac.digest(root, f"supatoss listen {name}".encode(), hashlib.sha256).hex() for name in "ab")
    return SigningKeys(SECRET_KEY, SECURITY_KEY, (f"test_sk_listen{secret[:24]}",), (security,))


def greet(what: str, keys: SigningKeys, command: str) -> None:
    """Prints what happens, the keys to verify with, and a command that sends something."""
    secret, security = (" ".join(names) for names in (keys.secret_keys[:1], keys.security_keys[:1]))
    typer.echo(what)
    if secret:
        typer.echo(f"  TOSS_SECRET_KEY={secret}    for your application, to verify signatures")
    if security and security != secret:
        typer.echo(f"  TOSS_SECURITY_KEY={security}    for payout.changed and seller.changed")
    typer.echo(f"  to send one: {command}\nCtrl-C stops.\n")


def read_event(body: bytes) -> tuple[str, dict[str, Any]]:
    """The type of a body and the fields of its line. A body that isn't an event is forwarded all the same."""
    try:
        content = json.loads(body)
    except ValueError:
        return "not JSON", {}
    if not isinstance(content, dict):
        return "not an object", {}
    data = content.get("data")
    data = data if isinstance(data, dict) else content
    event_type = content.get("eventType") or ("DEPOSIT_CALLBACK" if "transactionKey" in content else "unknown")
    names = (("order_id", "orderId"), ("amount", "totalAmount"), ("currency", "currency"), ("payment_status", "status"))
    return str(event_type), {name: data.get(key) for name, key in names}


def identity_of(event: "StoredEvent") -> dict[str, Any]:
    """The fields that identify an event in JSON."""
    return {"event": event.id, "event_type": event.event_type, "created_at": event.created_at.isoformat()}
