"""Embeddings of a pool, computed once and kept in a file."""
