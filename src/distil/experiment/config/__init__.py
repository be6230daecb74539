"""TODO src/distil/experiment/config."""
