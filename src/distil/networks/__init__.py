"""How a model is read: its logits, its embedding, its dropout samples, whatever made it."""
