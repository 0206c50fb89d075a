"""Fuzzing with atheris, which chooses inputs by the lines that they reach: python -m tests.fuzz.guided TARGET MINUTES.

For targets that are only our own code, signature and meaning: a database and a process have no lines that it sees.
"""

import sys

import atheris
from hypothesis import HealthCheck, given, settings

from tests.fuzz.found import keep

with atheris.instrument_imports(include=["supatoss.toss", "supatoss.inbox", "supatoss.masking"]):
    from tests.fuzz.targets import TARGETS


def main(name: str, minutes: str) -> None:
    """Ends the process at the first failure, with a status that is not 0, or when the time is up."""
    target = TARGETS[name]
    with target.opened() as run:

        @settings(deadline=None, database=None, suppress_health_check=list(HealthCheck))
        @given(target.cases)
        def once(case: bytes) -> None:
            try:
                run(case)
            except Exception as error:
                keep(name, case, error)
                raise

        one_input = once.hypothesis.fuzz_one_input  # type: ignore[attr-defined]  # added by @given
        atheris.Setup([sys.argv[0], f"-max_total_time={float(minutes) * 60:.0f}", "-max_len=8192"], one_input)
        atheris.Fuzz()


if __name__ == "__main__":
    main(*sys.argv[1:])
