"""Compares supatoss with its alternatives, prints tables, and keeps the figures in `.local/bench/`.

Exit status: 0 success, 1 something was lost, duplicated, wrong or refused, 2 wrong arguments, 130 Ctrl-C or SIGTERM.
"""

import argparse
import signal
import sys
from collections.abc import Sequence
from dataclasses import asdict, replace
from pathlib import Path
from types import FrameType
from typing import NoReturn

from benchmarks import at_size, endpoint, growth, memory, real_path, simulate, sql, startup, trace
from benchmarks.bulk import Size
from benchmarks.comparison import PLANS, reference, run
from benchmarks.report import keep, write_report
from benchmarks.stack import Stack
from benchmarks.table import medians, to_markdown
from benchmarks.workload import plan
from scripts.local_stack import StackError


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs one command."""
    options = _parser().parse_args(arguments)
    signal.signal(signal.SIGTERM, _interrupt)  # like Ctrl-C: stop the servers and delete their data, up to 20 GB
    try:
        if options.command == "report":
            print(write_report(options.run))
            return 0
        problems = _measure(options)
    except (StackError, FileNotFoundError) as error:
        print(f"the benchmark could not run: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("stopped", file=sys.stderr)
        return 130
    print(f"{problems} problems" if problems else "nothing lost, duplicated or wrong")
    return 1 if problems else 0


def _measure(options: argparse.Namespace) -> int:
    """How many problems a measurement found."""
    match options.command:
        case "growth":
            return growth.run(Size(options.events, options.payments), options.seconds, options.rounds, _log)
        case "queries":
            return at_size.run(Size(options.events, options.payments), options.dsn, options.only, _log)
        case "memory":
            return memory.run(options.minutes, options.rate, _log)
        case "endpoint":
            return endpoint.run(_log, options.rounds)
        case "startup":
            return startup.run(_log, options.runs)
        case "trace":
            return trace.run(options.connections, options.seconds, _log)
        case "simulate":
            return simulate.run(options.costs, options.seconds, is_written=options.write, log=_log)
        case "real":
            return real_path.run(real_path.Plan(seconds=options.seconds, rate=options.rate), _log)
        case "sql":
            return sql.run(_log, options.rounds, options.compare)
        case _:
            return _compare(options)


def _compare(options: argparse.Namespace) -> int:
    chosen = PLANS[options.command]
    peers = [peer for peer in chosen.peers if not options.peer or any(part in peer.name for part in options.peer)]
    if not peers:
        raise StackError(f"no peer has such a name; the peers are: {', '.join(peer.name for peer in chosen.peers)}")
    wanted = replace(
        chosen,
        peers=peers,
        connections=options.connections or chosen.connections,
        rounds=options.rounds or chosen.rounds,
        seconds=options.seconds or chosen.seconds,
    )
    with Stack() as stack:
        cells = list(run(wanted, stack, plan(wanted.deliveries), _log))
    file = keep(options.command, [asdict(cell) for cell in cells])
    print(f"\n{to_markdown(medians(cells), reference)}\n\nfigures: {file}")
    return sum(len(cell.measurement.problems) for cell in cells)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    for name, what in (("quick", "the main peers, about 3 minutes"), ("full", "every peer, about 40 minutes")):
        command = commands.add_parser(name, help=what)
        command.add_argument("--peer", action="append", help="only peers whose name contains this; repeatable")
        command.add_argument("--connections", type=int, nargs="+", help="override the plan's")
        command.add_argument("--rounds", type=int, help="override the plan's")
        command.add_argument("--seconds", type=float, help="of a measurement, override the plan's")
    command = commands.add_parser("startup", help="how long every command takes, about a minute")
    command.add_argument("--runs", type=int, default=startup.RUNS)
    command = commands.add_parser("endpoint", help="what the endpoint costs in its process, by stage")
    command.add_argument("--rounds", type=int, default=endpoint.ROUNDS)
    command = commands.add_parser("growth", help="small tables against large ones, about 30 minutes")
    command.add_argument("--events", type=int, default=10_000_000)
    command.add_argument("--payments", type=int, default=3_000_000)
    command.add_argument("--seconds", type=float, default=growth.CLOSED.seconds, help="of a measurement")
    command.add_argument("--rounds", type=int, default=growth.ROUNDS)
    command = commands.add_parser("queries", help="every page and query on large tables, about 15 minutes")
    command.add_argument("--events", type=int, default=10_000_000)
    command.add_argument("--payments", type=int, default=3_000_000)
    command.add_argument("--dsn", help="of a database that is kept, or a file with it; filled if it is empty")
    command.add_argument("--only", help="queries whose name contains this")
    command = commands.add_parser("memory", help="resident memory at a fixed rate")
    command.add_argument("--minutes", type=float, default=30.0)
    command.add_argument("--rate", type=float, default=200.0, help="deliveries a second")
    command = commands.add_parser("trace", help="which process is busy when, and what recording calls wait for")
    command.add_argument("--connections", type=int, default=64)
    command.add_argument("--seconds", type=float, default=5.0)
    command = commands.add_parser("simulate", help="measure costs, compare with a simulation, predict; about 4 minutes")
    command.add_argument(
        "--costs", type=Path, help="predict from the figures of a run in .local/bench/, measure nothing"
    )
    command.add_argument("--seconds", type=float, default=30.0, help="of a real load")
    command.add_argument("--write", action="store_true", help="put the tables into docs/scaling.md")
    command = commands.add_parser("real", help="unsigned deliveries, which Toss is asked about, about 6 minutes")
    command.add_argument("--seconds", type=float, default=real_path.SECONDS, help="of a measurement")
    command.add_argument("--rate", type=float, default=real_path.RATE, help="open loop, deliveries a second")
    command = commands.add_parser("sql", help="what recording costs PostgreSQL, by function, about a minute")
    command.add_argument("--rounds", type=int, default=sql.ROUNDS)
    command.add_argument("--compare", type=Path, action="append", default=[], help="another folder of migrations")
    command = commands.add_parser("report", help="write the table and the chart of docs/")
    command.add_argument("--run", type=Path, help="figures of the run in .local/bench/ (the newest full one)")
    return parser


def _interrupt(_number: int, _frame: FrameType | None) -> NoReturn:
    raise KeyboardInterrupt


def _log(line: str) -> None:
    print(line, file=sys.stderr, flush=True)


if __name__ == "__main__":
    sys.exit(main())
