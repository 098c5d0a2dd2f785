"""Benchmarks: what shared passes save, in time and memory."""
