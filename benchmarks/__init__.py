"""Benchmarks: each file is run as ``python -m benchmarks.<name>`` and prints what it measured."""
