"""`python -m benchmarks quick|full`: measures, prints one table, keeps the figures in `.local/bench/`.

Exit status: 0 measured and everything right, 1 something lost, doubled, wrong or refused, 2 wrong arguments.
"""

import argparse
import datetime as dt
import json
import sys
from collections.abc import Sequence
from dataclasses import asdict

from benchmarks.matrix import Plan, run
from benchmarks.peers.bare import Bare
from benchmarks.peers.base import Peer
from benchmarks.peers.literal import Literal, Runtime
from benchmarks.peers.pgbench import PgBench, Statement
from benchmarks.peers.rpc import BareCalls
from benchmarks.peers.stripe import StripeSync
from benchmarks.peers.supatoss import Supatoss
from benchmarks.stack import Backend, Stack
from benchmarks.table import medians, to_markdown
from benchmarks.workload import plan
from scripts.local_stack import STATE, StackError

_QUICK_PEERS: Sequence[Peer] = (
    Supatoss(),
    Supatoss(is_coalescing=False),
    Literal(Runtime.DENO),
    StripeSync(),
    BareCalls(is_through_client=False),
)
_FULL_PEERS: Sequence[Peer] = (
    Supatoss(),
    Supatoss(processes=2),
    Supatoss(processes=4),
    Supatoss(is_coalescing=False),
    Literal(Runtime.DENO),
    Literal(Runtime.PYTHON),
    StripeSync(),
    BareCalls(is_through_client=True),
    BareCalls(is_through_client=False),
    Bare(),
    PgBench(Statement.RECORDING),
    PgBench(Statement.MINIMAL),
    Supatoss(Backend.PGLITE),
    Literal(Runtime.DENO, Backend.PGLITE),
)
PLANS = {
    "quick": Plan(_QUICK_PEERS, (1, 64), rounds=1, seconds=3.0, warm_up_seconds=3.0, deliveries=15_000),
    "full": Plan(_FULL_PEERS, (1, 8, 64, 256), rounds=3, seconds=5.0, warm_up_seconds=4.0, deliveries=30_000),
}


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs a plan."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("plan", choices=[*PLANS], help="how much to measure: about 3 or about 25 minutes")
    parser.add_argument("--peer", action="append", default=[], help="only peers whose name contains this; repeatable")
    parser.add_argument("--connections", type=int, nargs="+", help="instead of the plan's")
    parser.add_argument("--rounds", type=int, help="instead of the plan's")
    options = parser.parse_args(arguments)
    chosen = PLANS[options.plan]
    peers = [peer for peer in chosen.peers if not options.peer or any(part in peer.name for part in options.peer)]
    if not peers:
        parser.error(f"no peer has such a name; there are: {', '.join(peer.name for peer in chosen.peers)}")
    connections = options.connections or chosen.connections
    rounds = options.rounds or chosen.rounds
    wanted = Plan(peers, connections, rounds, chosen.seconds, chosen.warm_up_seconds, chosen.deliveries)
    try:
        with Stack() as stack:
            cells = list(run(wanted, stack, plan(wanted.deliveries), _tell))
    except StackError as error:
        print(f"the benchmark could not run: {error}", file=sys.stderr)
        return 1
    file = STATE / "bench" / f"{options.plan}-{dt.datetime.now(dt.UTC):%Y%m%dT%H%M%SZ}.json"
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(json.dumps([asdict(cell) for cell in cells], indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    print(f"\n{to_markdown(medians(cells), _reference)}\n\nfigures: {file}")
    problems = sum(len(cell.measurement.problems) for cell in cells)
    print(f"{problems} problems" if problems else "nothing lost, nothing doubled, nothing wrong")
    return 1 if problems else 0


def _reference(peer: str) -> str:
    """The guide's function in Deno on the same backend."""
    backend = Backend.PGLITE if f"({Backend.PGLITE})" in peer else Backend.POSTGRES
    return Literal(Runtime.DENO, backend).name


def _tell(line: str) -> None:
    print(line, file=sys.stderr, flush=True)


if __name__ == "__main__":
    sys.exit(main())
