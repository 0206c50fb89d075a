"""Where a drill takes place: the processes as in production, Toss, and the target of alerts."""

import contextlib
import datetime as dt
import re
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import httpx
import psycopg

from supatoss.toss.fields import SEOUL
from tests.drill.person import Person
from tests.drill.runbook import Section
from tests.faults.proxy import Mode, Proxy
from tests.faults.toss import ALL, Toss, running_toss
from tests.faults.world import LIVE_KEY, PUBLISHABLE_KEY, World, running_world
from tests.receiver import Message, Receiver
from tests.support import raw_body, signed_headers

if TYPE_CHECKING:
    from tests.faults.programs import Program, Service

PATIENCE_SECONDS = 90.0
"""For one thing to happen; alerts begin within 6 s on an idle machine."""

LOOK_SECONDS = 0.1
NEW_KEY = "live_sk_made_up_for_drills_0002"
"""Toss accepts it beside the one that the processes start with."""

TOSS_MINUTE_SECONDS = "0.1"
SILENT = "supatoss.adopted_tables", "supatoss.column_zones"
"""Tables that the migrations filled."""

T = TypeVar("T")


class Stage(Person):
    """What a scenario can do. payment_keys: of the payments that the tables have to show at the end.

    elsewhere: orders that were paid without Toss.
    """

    def __init__(self, world: World, toss: Toss, toss_line: Proxy, receiver: Receiver) -> None:
        super().__init__(world.folder)
        self.world = world
        self.toss = toss
        self.toss_line = toss_line
        self.receiver = receiver
        self.service: Service
        self.worker: Program
        self._amends = contextlib.ExitStack()
        self.payment_keys: list[str] = []
        self.elsewhere: set[str] = set()
        self._waiting = threading.Event()

    # -- before and after ------------------------------------------------------------------------------------------

    @contextlib.contextmanager
    def performance(self, section: Section, settings: Mapping[str, str]) -> Iterator[None]:
        """One scenario from an empty project on; nothing of it is left behind."""
        self.section, self.tried, self.payment_keys, self.elsewhere = section, set(), [], set()
        self._empty()
        with self._amends:
            self._start(settings)
            yield

    def afterwards(self, amend: Callable[[], object]) -> None:
        """Does this at the end of the scenario, whether it went well or not."""
        self._amends.callback(amend)

    def _empty(self) -> None:
        tables = self.world.execute(
            "select schemaname || '.' || tablename from pg_tables where schemaname = 'supatoss'"
        )
        mutable = [name for (name,) in tables if name not in SILENT]
        names = ["public.payments", "public.subscriptions", "public.settlements", "public.webhook_events", *mutable]
        self.world.execute(f"truncate {', '.join(names)} restart identity")
        self.toss.play("reset")
        self.receiver.messages.clear()
        self.receiver.status = 200
        for line in (self.world.data_api, self.toss_line):
            line.mode = Mode.PASS

    def _start(self, settings: Mapping[str, str]) -> None:
        given = {
            **self.world.settings(self.toss_line.url),
            "SUPABASE_PUBLISHABLE_KEY": PUBLISHABLE_KEY,
            "ALERT_WEBHOOK_URL": self.receiver.url,
            "LOG_LEVEL": "INFO",
            **settings,
        }
        hasty = "tests.drill.hasty"
        self.service = self.world.service({**given, "FLY_MACHINE_ID": "m1"}, "service", (hasty, "serve"))
        self.worker = self.world.worker({**given, "FLY_MACHINE_ID": "m2"}, "worker", (hasty, "worker"))
        self.settings = {**given, "PUBLIC_URL": self.service.url}
        self.register()
        for program in (self.service, self.worker):
            self.afterwards(program.stop)
        self.service.start()
        # The Data API's first requests after its start fail when they come together: one process after the other.
        self.service.wait_ready("/healthz")
        self.worker.start()

    def register(self) -> None:
        """The webhook's address, in Toss's developer centre."""
        self.toss.play("webhooks", url=f"{self.service.url}/webhooks/toss")

    def restart(self, **changes: str) -> None:
        """All processes with other settings, as after `fly secrets set`."""
        self.settings |= changes
        for program in (self.service, self.worker):
            program.restart(**changes)
        self.service.wait_ready("/healthz")

    # -- what happens ----------------------------------------------------------------------------------------------

    def order(self, order: str, amount: int = 10_000) -> None:
        """The shop stores an order."""
        self.world.store_orders({order: amount})

    def pay(self, order: str, amount: int = 10_000, *, method: str = "카드") -> str:
        """A buyer pays at Toss, which tells of it. The payment's key."""
        key = str(self.toss.play("payments", orderId=order, amount=amount, method=method)["paymentKey"])
        self.payment_keys.append(key)
        self.toss.play(f"payments/{key}/approve", force=True)
        return key

    def pay_elsewhere(self, order: str, amount: int = 10_000) -> None:
        """A buyer pays by bank transfer, and the shop marks the order as paid itself."""
        self.elsewhere.add(order)
        self.execute(
            """insert into payments (payment_key, order_id, order_name, amount, payment_status, approved_at)
               values (%s, %s, '주문', %s, 'DONE', now())""",
            f"transfer-{order}",
            order,
            amount,
        )

    def lose_webhooks(self, about: Callable[[], T]) -> T:
        """What Toss tells meanwhile gets lost, with all its repeats."""
        self.toss.play("webhooks/suppress", count=ALL)
        try:
            return about()
        finally:
            self.toss.play("webhooks/suppress", count=0)

    def forget(self, key: str) -> None:
        """A payment that is not the shop's: its order was not delivered, and its events are set aside."""
        self.payment_keys.remove(key)

    def cancel(self, key: str, **what: int) -> None:
        """Somebody gives money back at Toss: all of it, or an amount."""
        self.toss.play(f"payments/{key}/cancel", **what)

    def tell_signed(self, body: Mapping[str, Any]) -> None:
        """Toss sends a webhook of the guide's form, with a signature."""
        self.toss.play("events", body=body, signed=True)

    def post(self, body: Mapping[str, Any], secret_key: str) -> int:
        """A delivery that is signed with a secret key, past Toss. The status of its answer."""
        raw = raw_body(body)
        headers = signed_headers(raw, secret_key, dt.datetime.now(dt.UTC).isoformat())
        return httpx.post(
            f"{self.service.url}/webhooks/toss", content=raw, headers=headers, trust_env=False
        ).status_code

    def execute(self, statement: str, *parameters: Any) -> list[tuple[Any, ...]]:
        """A statement in Supabase's SQL Editor."""
        return self.world.execute(statement, *parameters)

    def until(self, happened: Callable[[], T], what: str) -> T:
        """Waits for something. AssertionError if it doesn't happen."""
        for _ in range(int(PATIENCE_SECONDS / LOOK_SECONDS)):
            with contextlib.suppress(psycopg.OperationalError):
                if found := happened():
                    return found
            self._waiting.wait(LOOK_SECONDS)
        raise AssertionError(f"did not happen: {what}{self._tails()}")

    def until_none(self, find: Callable[[], Iterable[object]], problem: str) -> None:
        """Waits until nothing is found any more. AssertionError with what is left."""
        found: Iterable[object] = ()

        def is_none() -> bool:
            nonlocal found
            found = find()
            return not found

        try:
            self.until(is_none, problem)
        except AssertionError as error:
            raise AssertionError(f"{problem}: {found}; {error}") from None

    def until_event(self, order: str, *statuses: str, count: int = 1) -> None:
        """Until events of an order are there."""
        query = "select count(*) from webhook_events where order_id = %s and status = any(%s)"
        self.until(lambda: self.execute(query, order, list(statuses))[0][0] >= count, f"{order} {statuses}")

    # -- alerts ----------------------------------------------------------------------------------------------------

    def until_started(self, rule: str, subject: str | None = None) -> Message:
        """The message that an alert began. The command that it names is tried at once."""
        message = self._until_told(rule, subject, "started")
        command = message.body["data"]["command"]
        if command and command.startswith("supatoss"):
            self.type(command, 0, 1)
        return message

    def until_ended(self, rule: str, subject: str | None = None, phase: str = "ended") -> Message:
        """The message that it is over."""
        return self._until_told(rule, subject, phase)

    def _until_told(self, rule: str, subject: str | None, phase: str) -> Message:
        def is_it(message: Message) -> bool:
            return (message.rule, message.phase) == (rule, phase) and subject in (None, message.subject)

        message = self.receiver.wait_for(is_it, PATIENCE_SECONDS)
        told = [(other.rule, other.subject, other.phase) for other in self.receiver.messages]
        assert message, f"nobody was told: {rule} {subject or ''} {phase}; but of {told}{self._tails()}"
        return message

    # -- what the person's commands reach --------------------------------------------------------------------------

    def today(self) -> str:
        return dt.datetime.now(SEOUL).date().isoformat()

    @property
    def address(self) -> str:
        return self.service.url

    def stand_ins(self) -> Mapping[str, Callable[[str], str]]:
        """Fly.io's and Supabase's commands, and the one that runs until it is stopped."""
        return {"fly": self._fly, "npx": self._push, "supatoss worker": self._work}

    def log(self) -> str:
        """What the processes have logged since they were started."""
        return "".join(program.log.read_text(errors="replace") for program in (self.service, self.worker))

    def _fly(self, command: str) -> str:
        """Fly.io's command line, with the processes of this stage as its machines."""
        programs = {"m1": self.service, "m2": self.worker}
        if command == "fly logs":
            return self.log()
        if command == "fly status":
            return "".join(f"{name} {'started' if item.is_running else 'stopped'}\n" for name, item in programs.items())
        if secret := re.fullmatch(r"fly secrets set ([A-Z_]+)=(\S+)", command):
            self.restart(**{secret[1]: secret[2]})
            return ""
        machine = re.fullmatch(r"fly machine start (\w+)", command)
        assert machine, f"nothing stands in for: {command}"
        programs[machine[1]].start()
        return ""

    def _work(self, _command: str) -> str:
        """`supatoss worker` runs until it is stopped."""
        self.worker.start()
        return ""

    def _push(self, command: str) -> str:
        """Pushing needs a project in the cloud; tests/push tries it. Here a scenario does what it would."""
        assert command.startswith("npx supabase@")
        return ""

    def _tails(self) -> str:
        return "".join(program.child.tail() for program in (self.service, self.worker) if program.is_running)


@contextlib.contextmanager
def opened_stage(folder: Path) -> Iterator[Stage]:
    """A project, Toss and a target of alerts, until the end of the block."""
    with (
        running_world(folder) as world,
        running_toss(folder, "--minute-seconds", TOSS_MINUTE_SECONDS, "--secret-key", NEW_KEY) as toss,
        Proxy(toss.port) as toss_line,
        Receiver() as receiver,
    ):
        yield Stage(world, toss, toss_line, receiver)


def secret_keys(*others: str) -> str:
    """A list for TOSS_SECRET_KEY: the good key, and keys that Toss refuses."""
    return ",".join([LIVE_KEY, *others])
