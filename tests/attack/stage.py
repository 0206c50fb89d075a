"""The stage of an attack: PostgreSQL, the Data API, a Toss, the service of a small machine, and honest senders.

The attacker's own programs run with the lowest priority: an attacker's processors are elsewhere.
"""

import asyncio
import contextlib
import json
import sys
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx

from scripts.local_stack import LOOPBACK, ROOT
from supatoss.toss.delivery import SIGNATURE_HEADER, TIME_HEADER
from supatoss.toss.signature import sign_hex
from tests.attack.catalogue import Attack
from tests.attack.honest import ADDRESS_HEADER, UNSIGNED_EVERY_SECONDS, Honest, Senders
from tests.attack.server.target import MAX_FILES, START, Target, peak_memory_mib, running_target
from tests.faults.toss import ALL, Toss, running_toss
from tests.faults.world import LIVE_KEY, SUPABASE_KEY, World, running_world
from tests.support import raw_body

MACHINE_MIB = 256
SMALL_MACHINE = {"MAX_BODIES_BYTES": str(MACHINE_MIB * 1024 * 1024 // 16)}
"""As the service sets it on a machine of 256 MB."""

OPS_PASSWORD = "the operators' phrase"
WARM_UP_SECONDS = 2.0
SPARE_SECONDS = 8.0
"""For attackers that take long to start and to end."""

GUIDE_QUERY = "SELECT * FROM webhook_events ORDER BY created_at DESC LIMIT 10"


@dataclass
class Result:
    """One attack: honest senders at rest and during it, and what it came to.

    missing: orders that were acknowledged and are not in the inbox. stored: rows that are there because of the attack.
    """

    attack: Attack
    rest: Honest
    attacked: Honest
    answers: Counter[str]
    peak_mib: float
    missing: int
    stored: int
    problems: list[str]

    @property
    def is_clean(self) -> bool:
        """Nothing honest was refused or lost, the machine's memory was enough, and the guide's query runs."""
        harm = self.attacked.refused + self.attacked.lost + self.missing
        return not harm and not self.problems and self.peak_mib <= MACHINE_MIB


@dataclass
class Stage:
    """What outlives an attack. Each attack gets a service of its own."""

    world: World
    toss: Toss
    folder: Path

    def attack(self, attack: Attack, seconds: float, start: str = START, files: int = MAX_FILES) -> Result:
        """Honest senders at rest, then beside the attack. start: another program that serves."""
        self.world.clear()
        self.world.execute("truncate supatoss.refused_deliveries, supatoss.folded_orders")
        self.toss.be_well()
        settings = {
            **self.world.settings(self.toss.url, SUPABASE_URL=self.world.lite.url, WORKER="in-process"),
            **SMALL_MACHINE,
            "CLIENT_IP_HEADER": ADDRESS_HEADER,
            "OPS_PASSWORD": OPS_PASSWORD,
            "PUBLIC_URL": f"http://{LOOPBACK}",
            "SUPABASE_TIMEOUT_SECONDS": "3",
            "TOSS_TIMEOUT_SECONDS": "3",
            "LOG_LEVEL": "INFO",
        }
        payments = self._payments(2 * seconds + WARM_UP_SECONDS + SPARE_SECONDS)
        log = self.folder / f"{attack.name}.log"
        with running_target(self.world.lite.url, SUPABASE_KEY, log, settings, files, start) as target:
            return asyncio.run(self._play(attack, seconds, target, payments))

    async def _play(self, attack: Attack, seconds: float, target: Target, payments: list[dict[str, Any]]) -> Result:
        senders = Senders(target.port, iter(payments[1:]))
        await senders.run(min(seconds, WARM_UP_SECONDS))
        if attack.toss_seconds:
            self.toss.fault(ALL, delay_seconds=attack.toss_seconds)
        rest = await senders.run(seconds)
        async with senders.sending() as attacked:
            answers = await self._run(attack, seconds, target.port, self._known(payments[0]))
        problems = [] if attack.name != "wrong_passwords" or self._signs_in(target) else ["the operator can't sign in"]
        peak = peak_memory_mib(target.pid)
        ((stored,),) = self.world.execute(
            "select (select count(*) from webhook_events where order_id is null or order_id not like 'honest-%%')"
            " + (select count(*) from supatoss.refused_deliveries)"
        )
        acknowledged = attacked.acknowledged
        found = self.world.execute(
            "select distinct order_id from webhook_events where order_id = any(%s)", acknowledged
        )
        problems += self._problems_of_queries()
        missing = len(set(acknowledged)) - len(found)
        return Result(attack, rest, attacked, answers, peak, missing, stored, problems)

    async def _run(self, attack: Attack, seconds: float, port: int, known: dict[str, Any]) -> Counter[str]:
        """The attacker's program: what it counted."""
        module = "tests.attack.server.floods" if attack.is_flood else "tests.attack.deliveries"
        more = [] if attack.is_flood else [json.dumps(known)]
        program = await asyncio.create_subprocess_exec(
            *("nice", "-n", "19", sys.executable, "-m", module, attack.name, str(port), str(seconds)),
            *(str(attack.connections), *more),
            cwd=ROOT,
            stdout=asyncio.subprocess.PIPE,
        )
        try:
            async with asyncio.timeout(seconds + 60):
                output, _ = await program.communicate()
        finally:
            if program.returncode is None:
                with contextlib.suppress(ProcessLookupError):
                    program.kill()
                await program.wait()
        return Counter(json.loads(output))

    def _payments(self, seconds: float) -> list[dict[str, Any]]:
        """Paid at Toss, and not delivered yet: the first one is the attacker's own."""
        self.toss.play("webhooks/suppress", count=ALL)
        name = f"{time.time_ns():x}"
        count = int(seconds / UNSIGNED_EVERY_SECONDS)
        return [self._pay(f"buyer-{name}"), *(self._pay(f"honest-{name}-u{number}") for number in range(count))]

    def _pay(self, order: str) -> dict[str, Any]:
        key = self.toss.play("payments", orderId=order, amount=10_000, method="카드")["paymentKey"]
        self.toss.play(f"payments/{key}/approve")
        return self.toss.payment(key)

    def _known(self, payment: dict[str, Any]) -> dict[str, Any]:
        """What attackers may have."""
        sent_at = time.strftime("%Y-%m-%dT%H:%M:%S+00:00", time.gmtime())
        data = {"paymentKey": "captured", "orderId": "captured", "status": "DONE", "totalAmount": 10_000}
        raw = raw_body({"eventType": "PAYMENT_STATUS_CHANGED", "createdAt": sent_at[:19], "data": data})
        headers = {TIME_HEADER: sent_at, SIGNATURE_HEADER: sign_hex(raw, sent_at, LIVE_KEY)}
        return {"payment": payment, "captured": {"body": raw.decode(), "headers": headers}, "key": LIVE_KEY}

    def _problems_of_queries(self) -> list[str]:
        try:
            self.world.execute(f"select to_jsonb(e)::text, jsonb_pretty(payload) from ({GUIDE_QUERY}) e")
        except Exception as error:  # noqa: BLE001 - whatever it is, it is the finding
            return [f"the guide's query fails: {error}"]
        return []

    def _signs_in(self, target: Target) -> bool:
        """Whether the operator gets in right after the guesses."""
        with httpx.Client(base_url=target.url, trust_env=False, timeout=60.0) as http:
            page = http.get("/ops/sign-in").text
            token = page.partition('name="csrf" value="')[2].partition('"')[0]
            form = {"csrf": token, "username": "operator", "password": OPS_PASSWORD}
            headers = {ADDRESS_HEADER: "203.0.113.7", "origin": f"http://{LOOPBACK}"}
            return http.post("/ops/sign-in", data=form, headers=headers).status_code == httpx.codes.SEE_OTHER


@contextmanager
def running_stage(folder: Path) -> Iterator[Stage]:
    """The stage until the end of the block."""
    with running_world(folder) as world, running_toss(folder) as toss:
        yield Stage(world, toss, folder)
