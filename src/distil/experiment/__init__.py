"""Experiments: strategies run over rounds and seeds, and compared by their learning curves."""
