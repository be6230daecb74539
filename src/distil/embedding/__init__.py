"""TODO src/distil/embedding."""
