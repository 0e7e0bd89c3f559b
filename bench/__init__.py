"""Measurements behind docs/benchmarks.md: everything beside something else, in the same run."""
