"""Experiments: strategies run over rounds and seeds, and what their learning curves say."""
