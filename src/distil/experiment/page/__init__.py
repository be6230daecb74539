"""TODO src/distil/experiment/page."""
