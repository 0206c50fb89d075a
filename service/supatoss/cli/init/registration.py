"""The registration at Toss, which has no API for it, and the first delivery."""

import asyncio
import json
import secrets
from typing import TYPE_CHECKING

import typer

from supatoss.cli.init.address import PUBLIC_URL
from supatoss.cli.init.setup import ANSWER_SECONDS, Setup
from supatoss.cli.init.step import Step, Stopped
from supatoss.cli.output import ExitStatus, plain
from supatoss.cli.session import run_async
from supatoss.errors import StoreError

if TYPE_CHECKING:
    from supatoss.store.events import StoredEvent

TEST_TYPE = "CUSTOMER_STATUS_CHANGED"
"""Changes no row. Toss sends this type unsigned, which isn't stored, so a stored one is a test of ours."""

LATER = "to wait again: supatoss register --wait; to see the form: supatoss register"


class RegisterStep(Step):
    """Shows what to enter at Toss."""

    name = "registration"

    def done(self, setup: Setup) -> str | None:
        """Done if a delivery from Toss has arrived."""
        event = _newest(setup)
        return f"deliveries are arriving: {_named(event)}" if event else None

    def run(self, setup: Setup) -> str:
        """Prints the sheet of `supatoss register`."""
        from supatoss.cli.register import language_of_the_shell
        from supatoss.cli.sending import WEBHOOK_PATH, SigningKeys
        from supatoss.cli.sheet import make_sheet, to_text

        sheet = make_sheet(setup.answer(PUBLIC_URL) + WEBHOOK_PATH, SigningKeys.read().kind, language_of_the_shell())
        typer.echo("\n".join(f"  {line}".rstrip() for line in to_text(sheet).splitlines()))
        if setup.asking.is_there:
            setup.asking.text("Press Enter when it is registered at Toss")
        return "register it as shown above"


class DeliveryStep(Step):
    """Waits for the first delivery."""

    name = "first delivery"

    def done(self, setup: Setup) -> str | None:
        """Done if a delivery has arrived; with --test-delivery, a test counts."""
        event = _newest(setup)
        if event is None and setup.options.sends_test and (event := _newest(setup, is_test=True)):
            return f"a signed test delivery was stored: {_named(event)}"
        return _named(event) if event else None

    def run(self, setup: Setup) -> str:
        """Waits, or sends a test. Ctrl-C and the time-out change nothing."""
        if setup.options.sends_test:
            return run_async(_send_test(setup))
        seconds = setup.options.wait_seconds
        if not seconds:
            raise Stopped("not waiting (--timeout 0)", f"make a test payment; {LATER}")
        try:
            typer.echo(
                f"  waiting up to {seconds:g} seconds for a delivery: make a test payment. Ctrl-C stops waiting."
            )
            event = run_async(_wait(setup, seconds))
        except KeyboardInterrupt:
            raise Stopped("stopped waiting; everything before this is done", LATER, ExitStatus.INTERRUPTED) from None
        except StoreError as error:
            raise Stopped(str(error), error.remedy or LATER, ExitStatus.UNREACHABLE) from None
        if event is None:
            raise Stopped(
                f"no delivery arrived within {seconds:g} seconds",
                f"see the webhook history in Toss's developer centre, and run supatoss doctor; {LATER}",
            )
        return _named(event)


def _newest(setup: Setup, *, is_test: bool = False) -> "StoredEvent | None":
    """The newest delivery from Toss, or our own newest test."""
    from supatoss.cli.register import newest_arrivals

    try:
        return _of_toss(setup.ask_store(newest_arrivals), is_test=is_test)
    except StoreError as error:
        raise Stopped(str(error), error.remedy or "supatoss doctor", ExitStatus.UNREACHABLE) from None


async def _wait(setup: Setup, seconds: float) -> "StoredEvent | None":
    """The first delivery from Toss. There was none when this step began."""
    from supatoss.cli.register import POLL_SECONDS, newest_arrivals
    from supatoss.store import Store

    url, key = setup.answer("SUPABASE_URL"), setup.answer("SUPABASE_SECRET_KEY")
    async with Store.open(url, key, ANSWER_SECONDS, setup.answer("SUPABASE_PUBLISHABLE_KEY") or None) as store:
        try:
            async with asyncio.timeout(seconds):
                while True:
                    if event := _of_toss(await newest_arrivals(store)):
                        return event
                    await asyncio.sleep(POLL_SECONDS)
        except TimeoutError:
            return None


def _of_toss(events: "list[StoredEvent]", *, is_test: bool = False) -> "StoredEvent | None":
    return next((event for event in events if (event.event_type == TEST_TYPE) is is_test), None)


async def _send_test(setup: Setup) -> str:
    """Sends a signed test delivery, which stays in webhook_events as ignored."""
    from supatoss.cli.options import Form
    from supatoss.cli.sending import WEBHOOK_PATH, SigningKeys, delivery_headers, open_sender

    customer = f"supatoss-init-{secrets.token_hex(4)}"
    body = {"eventType": TEST_TYPE, "data": {"customerKey": customer, "status": "CREATED"}}
    raw = json.dumps(body).encode()
    async with open_sender(setup.answer(PUBLIC_URL) + WEBHOOK_PATH) as sender:
        answer = await sender.send(raw, delivery_headers(raw, SigningKeys.read(), Form.HEX))
    if answer.exit_status is not ExitStatus.OK:
        raise Stopped(
            f"a signed test delivery got {answer}",
            "check that the service runs with the keys of .env: supatoss init --deploy sets them",
            answer.exit_status,
        )
    return f"a signed test delivery was stored ({answer}); Toss's first comes with the first payment"


def _named(event: "StoredEvent") -> str:
    return plain(f"{event.event_type}, {event.status}, proof {event.proof}, at {event.created_at.isoformat()}")
