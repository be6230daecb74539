"""Data sets by name, from local files or downloads; the readers check everything that they read."""
