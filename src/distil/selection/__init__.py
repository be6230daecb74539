"""Selecting examples, once or in rounds, from a model and data, from arrays, or from files."""
