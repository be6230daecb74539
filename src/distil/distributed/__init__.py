"""Selections from pools in shards, each of which is read by a process of its own."""
