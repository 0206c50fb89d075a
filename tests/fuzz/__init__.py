"""Fuzzing: `make fuzz`, or python -m tests.fuzz. What was found stays in corpus/, and `make test` plays it again."""
