"""The utilities of the DISTIL document, under their documented module paths."""
