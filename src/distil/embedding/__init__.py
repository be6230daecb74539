"""Embeddings of a pool by a pretrained model, computed once and kept in a file."""
