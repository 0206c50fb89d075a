"""Measures supatoss against what could stand in its place: `python -m benchmarks --help`, docs/performance.md."""
