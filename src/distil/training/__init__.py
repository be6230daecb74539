"""Training: the only training loop of the library (``fit``) and its settings (``config``)."""
