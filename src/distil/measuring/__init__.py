"""Signals of a pool: measured by a network in the only loop over a pool, or read from arrays."""
