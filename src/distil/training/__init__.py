"""Training: the one loop of the library (``fit``) and its settings (``config``)."""
