"""TODO src/distil/evaluation."""
