"""TODO src/distil/selection."""
