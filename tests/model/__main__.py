"""Plays stories against the service: `python -m tests.model [--stories N] [--only A,B] [--without A,B] [--seed N]`.

Exit status: 0 every story ended as the model says; 1 one did not: it is shrunk and told.
"""

import argparse
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import hypothesis
import psycopg
from hypothesis import HealthCheck, Phase, given, settings

from scripts.local_stack import LocalPostgres
from tests.database.conftest import migrate
from tests.database.support import Database
from tests.model.bench import Bench
from tests.model.player import clock_of_the_story
from tests.model.replay import known_stories, replay
from tests.model.stories import ALL, FEATURES, Story, stories
from tests.model.telling import Wrong, play


def main(arguments: Sequence[str] | None = None) -> int:
    """Plays, and tells how many stories a second, or the shortest story that went wrong."""
    told = "\n".join(f"  {name:<10} {text}" for name, text in FEATURES.items())
    parser = argparse.ArgumentParser(
        prog="python -m tests.model",
        description=(__doc__ or "").split("\n")[0],
        epilog=f"features:\n{told}",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--stories", type=int, default=1000, help="how many (default 1000)")
    parser.add_argument("--only", default="", metavar="A,B", help="features that stories may have")
    parser.add_argument("--without", default="", metavar="A,B", help="features that they must not have")
    parser.add_argument("--seed", type=int, default=None, help="of the stories; another one each time without it")
    parser.add_argument("--show", type=int, default=0, metavar="N", help="tell the first N stories")
    parser.add_argument(
        "--replay", type=Path, metavar="FILE", help="play the stories of a file such as known_stories.txt"
    )
    options = parser.parse_args(arguments)
    features = frozenset(options.only.split(",")) if options.only else ALL
    features -= frozenset(options.without.split(","))
    if features - FEATURES.keys():
        parser.error(f"no such feature: {', '.join(sorted(features - FEATURES.keys()))}")
    if options.replay:
        return _run(lambda bench: _replay(bench, options.replay))
    return _run(lambda bench: _play(bench, options.stories, features, options.seed, options.show))


def _run(todo: Callable[[Bench], int]) -> int:
    with LocalPostgres() as server:
        dsn = server.create_database("model")
        migrate(dsn)
        with (
            psycopg.connect(dsn, autocommit=True) as connection,
            Bench.opened(Database(connection, dsn)) as bench,
            clock_of_the_story(),
        ):
            return todo(bench)


def _replay(bench: Bench, file: Path) -> int:
    wrong = 0
    for title, lines in known_stories(file).items():
        try:
            replay(bench, lines)
        except Wrong as problem:
            wrong += 1
            print(f"# {title}", problem, "", sep="\n")
        else:
            print(f"# {title}: as the model says\n")
    return min(wrong, 1)


def _play(bench: Bench, number: int, features: frozenset[str], seed: int | None, show: int) -> int:
    played = steps = 0
    started = time.monotonic()

    def one(story: Story) -> None:
        nonlocal played, steps
        lines = play(bench, story)
        played += 1
        steps += len(lines)
        if played <= show:
            print(f"-- story {played}", *lines, sep="\n")

    test = settings(
        max_examples=number,
        deadline=None,
        database=None,
        suppress_health_check=list(HealthCheck),
        phases=(Phase.generate, Phase.shrink),
        report_multiple_bugs=False,
    )(given(stories(features))(one))
    if seed is not None:
        test = hypothesis.seed(seed)(test)
    try:
        test()
    except Wrong as wrong:
        print(f"After {played} stories in {time.monotonic() - started:.1f} s, shrunk:", wrong)
        return 1
    seconds = time.monotonic() - started
    rate = f"{seconds:.1f} s: {played / seconds:.0f} stories a second"
    print(f"{played} stories with {steps} steps, all as the model says, in {rate}.")
    return 0


if __name__ == "__main__":
    sys.exit(main())
