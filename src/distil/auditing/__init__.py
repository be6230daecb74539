"""TODO src/distil/auditing."""
