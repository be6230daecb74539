"""TODO src/distil/measuring."""
