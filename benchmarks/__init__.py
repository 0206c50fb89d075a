"""Compares supatoss with its alternatives: `python -m benchmarks --help`, docs/performance.md."""
