"""Reading models of any kind: their logits, embedding and dropout samples."""
