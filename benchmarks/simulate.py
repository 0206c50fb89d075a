"""Measures what a delivery costs, compares the simulation with real loads, and predicts larger ones."""

import itertools
import platform
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from benchmarks.measure import Load
from benchmarks.queueing.alternatives import Alternative, measure_alternatives
from benchmarks.queueing.arrivals import poisson, sale, steady
from benchmarks.queueing.costs import Costs, Storage
from benchmarks.queueing.kept import read, to_json
from benchmarks.queueing.loads import Measured, measure_load
from benchmarks.queueing.measured import measure_costs
from benchmarks.queueing.system import TOSS_WAITS_SECONDS, Machines, Outcome, Sender, simulate
from benchmarks.report import keep, with_figures
from benchmarks.stack import Stack
from scripts.local_stack import ROOT

DOCUMENT = ROOT / "docs" / "scaling.md"
BEGIN = '<!-- figures: make bench BENCH="simulate --write" -->'

RATES = (300.0, 1000.0, 1500.0)
CONNECTIONS = 256
CLOSED_CONNECTIONS, CLOSED_MOST = 64, 5000
"""A closed loop as well, with deliveries for as many answers a second."""

CORES = 2
QUIET_CORES = 0.1
PARTS = ("service", "api", "postgres", "driver")

DAILY = 10_000
"""Deliveries a day of the merchant that the others are multiples of."""

PEAK_HOUR = 3.0
"""The busiest hour of the day, as a multiple of the average: an eighth of the day's deliveries in one hour."""

SALE_JUMP, SALE_BEGINS, SALE_HALF_LIFE, SALE_SECONDS = 20.0, 10.0, 20.0, 100.0
"""A sale: 20 times the peak hour's rate at once; half of the excess is gone after every 20 s."""

NETWORK_SECONDS = 0.005
"""Between the service and the Data API, both ways, in one region: an assumption."""

BUSY = "busy: each process, database"
REFUSED = "answered 503 | stored after at most"

TOSS_SECONDS = 0.1
"""In which Toss answers a look-up: an assumption. A process has eight under way at most."""

RATES_OF_A_DAY = "average / peak hour / sale"
DISK_OF_A_YEAR = "tables a year | without payloads | key index a year"

SCALES = (1, 10, 100, 1000)
MOST_SECONDS = 6000.0
ENOUGH_DELIVERIES = 10_000


@dataclass(frozen=True, slots=True)
class Plan:
    """A merchant of a size, and the machines that it gets."""

    scale: int
    machines: Machines

    @property
    def average(self) -> float:
        """Deliveries a second."""
        return self.scale * DAILY / 86_400

    @property
    def peak(self) -> float:
        """Deliveries a second in the busiest hour."""
        return self.average * PEAK_HOUR


PLANS = [
    Plan(scale, Machines(processes, database_cores=cores, network_seconds=NETWORK_SECONDS))
    for scale, processes, cores in ((1, 2, 2), (10, 2, 2), (100, 2, 2), (100, 8, 2), (1000, 16, 8))
]


def run(costs_file: Path | None, seconds: float, *, is_written: bool, log: Callable[[str], None]) -> int:
    """Prints the costs, the comparison and the predictions, and puts them into the document if `is_written`.

    Returns the number of problems of the real loads.
    """
    if costs_file is None:
        with Stack() as stack:
            costs, storage = measure_costs(stack, log)
            loads = [Load(CONNECTIONS, seconds, int(rate * seconds), rate) for rate in RATES]
            loads.append(Load(CLOSED_CONNECTIONS, seconds / 3, int(CLOSED_MOST * seconds / 3)))
            measured = [measure_load(stack, load, seed, log) for seed, load in enumerate(loads, start=1)]
            alternatives = measure_alternatives(stack)
        costs_file = keep("simulate", to_json(costs, storage, measured, alternatives))
    else:
        costs, storage, measured, alternatives = read(costs_file)
    figures = "\n\n".join(
        (
            f"Measured on {_day(costs_file)}, {platform.system()} on {platform.machine()}, {CORES} cores in all.",
            f"**Measured and predicted**\n\n{_comparison(costs, measured)}",
            f"**What a delivery costs**\n\n{_cost_table(costs, storage)}",
            f"**Volumes**\n\n{_volume_table(storage)}",
            f"**Predictions**\n\n{_predictions(costs, log)}",
            f"**Alternatives**\n\n{_alternatives_table(alternatives)}",
        )
    )
    print(f"\n{figures}\n\nfigures: {costs_file}")
    if is_written:
        DOCUMENT.write_text(with_figures(DOCUMENT.read_text(encoding="utf-8"), figures, BEGIN), "utf-8")
    return sum(len(one.measurement.problems) for one in measured)


def predict(costs: Costs, one: Measured) -> Outcome:
    """A load of the load generator, on the cores that other programs leave."""
    load = one.load
    machines = Machines(shared_cores=max(CORES / 4, CORES - one.others), api_threads=1)
    arrivals = steady(load.rate, load.count) if load.rate else itertools.repeat(0.0, one.measurement.report.sent)
    return simulate(costs, machines, arrivals, Sender(load.connections, is_closed=not load.rate))


def _comparison(costs: Costs, measured: Sequence[Measured]) -> str:
    lines = [
        "| load | answers/s (p50 / p99 / max ms) measured | predicted | cores measured | predicted | others |",
        "|---|---|---|---|---|---|",
    ]
    for one in measured:
        found = predict(costs, one)
        report, cores = one.measurement.report, one.measurement.cores
        name = f"{one.load.rate:,.0f}/s" if one.load.rate else f"{one.load.connections} connections"
        lines.append(
            f"| {name} | {report.rate:,.0f} ({report.p50_ms:.1f} / {report.p99_ms:.1f} / {report.max_ms:.0f})"
            f" | {len(found.latencies) / found.seconds:,.0f} ({_latency(found)})"
            f" | {', '.join(f'{part} {cores.get(part, 0.0):.2f}' for part in PARTS)}"
            f" | {', '.join(f'{found.busy.get(part, 0.0) / found.seconds:.2f}' for part in PARTS)}"
            f" | {one.others:.2f} |"
        )
    most = max((one.others for one in measured), default=0.0)
    if most > QUIET_CORES:
        lines += ["", f"Other programs used up to {most:.1f} cores: these rows compare little."]
    return "\n".join(lines)


def _cost_table(costs: Costs, storage: Storage) -> str:
    sizes = (1, 8, 32, 100)
    lines = [
        f"| events a call | {' | '.join(map(str, sizes))} |",
        f"|---|{'---|' * len(sizes)}",
    ]
    rows = {
        "service, µs of CPU an event": [costs.receive + costs.answer + costs.call / events for events in sizes],
        "Data API, µs of CPU an event": [costs.api.at(events) / events for events in sizes],
        "PostgreSQL, µs of CPU an event": [costs.postgres.at(events) / events for events in sizes],
    }
    lines += [f"| {name} | {' | '.join(f'{1e6 * used:,.0f}' for used in row)} |" for name, row in rows.items()]
    left = (
        f"An event leaves {_bytes(storage.wal_bytes)} of write-ahead log, {_bytes(storage.table_bytes)} in tables"
        f" ({_bytes(storage.payload_bytes)} of it the payload) and {_bytes(storage.index_bytes)} in indexes"
        f" ({_bytes(storage.key_index_bytes)} of it the unique key's)."
    )
    return "\n".join([*lines, "", left])


def _volume_table(storage: Storage) -> str:
    lines = [
        f"| | deliveries a day | a second: {RATES_OF_A_DAY} | log a day | {DISK_OF_A_YEAR} |",
        "|---|---|---|---|---|---|---|",
    ]
    for scale in SCALES:
        plan = Plan(scale, Machines())
        daily, disk = scale * DAILY, storage.table_bytes + storage.index_bytes
        lines.append(
            f"| {scale:,} × | {daily:,} | {_rate(plan.average)} / {_rate(plan.peak)} / {_rate(plan.peak * SALE_JUMP)}"
            f" | {_bytes(daily * storage.wal_bytes)} | {_bytes(365 * daily * disk)}"
            f" | {_bytes(365 * daily * (disk - storage.payload_bytes))}"
            f" | {_bytes(365 * daily * storage.key_index_bytes)} |"
        )
    return "\n".join(lines)


def _predictions(costs: Costs, log: Callable[[str], None]) -> str:
    lines = [
        f"| | processes, database cores | load | p50 / p99 / max ms | events a call | calls/s | {BUSY} | {REFUSED} |",
        "|---|---|---|---|---|---|---|---|---|",
    ]
    for plan in PLANS:
        unsigned = replace(plan.machines, toss_seconds=TOSS_SECONDS)
        for name, machines, arrivals in (
            ("peak hour, unsigned", unsigned, _peak_hour(plan)),
            ("sale, unsigned", unsigned, _sale(plan)),
            ("sale, signed", plan.machines, _sale(plan)),
        ):
            found = simulate(costs, machines, arrivals, Sender(waits=TOSS_WAITS_SECONDS))
            lines.append(_prediction(plan, name, found))
            log(lines[-1])
    return "\n".join(lines)


def _alternatives_table(alternatives: Sequence[Alternative]) -> str:
    lines = ["| for an event, 32 in a statement | PostgreSQL, µs of CPU | log, kB | disk, kB |", "|---|---|---|---|"]
    lines += [
        f"| {one.name} | {1e6 * one.cpu:.0f} | {one.wal_bytes / 1000:.1f} | {one.disk_bytes / 1000:.1f} |"
        for one in alternatives
    ]
    return "\n".join(lines)


def _peak_hour(plan: Plan) -> Iterator[float]:
    seconds = min(MOST_SECONDS, max(30.0, ENOUGH_DELIVERIES / plan.peak))
    return poisson(lambda _: plan.peak, plan.peak, seconds, seed=plan.scale)


def _sale(plan: Plan) -> Iterator[float]:
    rate_at = sale(plan.peak, SALE_JUMP, SALE_BEGINS, SALE_HALF_LIFE)
    return poisson(rate_at, plan.peak * SALE_JUMP, SALE_SECONDS, seed=plan.scale)


def _prediction(plan: Plan, name: str, found: Outcome) -> str:
    machines, seconds = plan.machines, max(found.seconds, 1e-9)
    service = found.busy.get("service", 0.0) / seconds / machines.processes
    database = (found.busy.get("api", 0.0) + found.busy.get("postgres", 0.0)) / seconds / machines.database_cores
    refused = found.statuses[503]
    lost = f", {found.lost:,} left to reconciliation" if found.lost else ""
    # With retries the run is an hour of nearly nothing: means over it say little.
    rates = "– | –" if refused else f"{len(found.batches) / seconds:,.1f} | {service:.0%}, {database:.0%}"
    return (
        f"| {plan.scale:,} × | {machines.processes}, {machines.database_cores} | {name} | {_latency(found)}"
        f" | {found.mean_batch:.1f} | {rates}"
        f" | {refused / found.statuses.total():.0%} | {max(found.stored_after):,.1f} s{lost} |"
    )


def _day(file: Path) -> str:
    moment = file.stem.rpartition("-")[2]
    return f"{moment[:4]}-{moment[4:6]}-{moment[6:8]}"


def _latency(found: Outcome) -> str:
    return f"{found.latency_ms(0.5):.1f} / {found.latency_ms(0.99):.1f} / {found.latency_ms(1.0):,.0f}"


def _rate(number: float) -> str:
    return f"{number:,.0f}" if number >= 10 else f"{number:.1f}"


def _bytes(number: float) -> str:
    """In units of a thousand."""
    for unit in ("kB", "MB", "GB"):
        number /= 1000
        if number < 1000:
            return f"{number:,.3g} {unit}"
    return f"{number / 1000:,.3g} TB"
