"""Training: the one loop of the library (``fit``) and what it is told (``config``)."""
