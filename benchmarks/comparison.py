"""Which peers a run compares, and how hard it pushes them."""

from collections.abc import Sequence

from benchmarks.matrix import Plan
from benchmarks.peers.bare import Bare
from benchmarks.peers.base import Peer
from benchmarks.peers.literal import Literal, Runtime
from benchmarks.peers.pgbench import PgBench, Statement
from benchmarks.peers.rpc import BareCalls
from benchmarks.peers.stripe import StripeSync
from benchmarks.peers.supatoss import Supatoss
from benchmarks.stack import Backend

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
    "full": Plan(_FULL_PEERS, (1, 8, 64, 256), rounds=3, seconds=5.0, warm_up_seconds=5.0, deliveries=40_000),
}


def reference(peer: str) -> str:
    """The peer that another one is compared with: the guide's function in Deno on the same backend."""
    backend = Backend.PGLITE if f"({Backend.PGLITE})" in peer else Backend.POSTGRES
    return Literal(Runtime.DENO, backend).name
