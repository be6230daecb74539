"""TODO src/distil/networks."""
