"""TODO src/distil/datasets."""
