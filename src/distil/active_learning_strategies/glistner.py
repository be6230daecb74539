"""The document also prints the module of GLISTER with this name."""

from distil.active_learning_strategies.glister import GLISTER

__all__ = ["GLISTER"]
