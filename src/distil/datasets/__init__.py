"""Data sets by name, local files first; each reader trusts nothing that it reads."""
