"""TODO src/distil/system."""
