"""``GLISTER`` under the second module name that the document prints."""

from distil.active_learning_strategies.glister import GLISTER

__all__ = ["GLISTER"]
