"""distil: deep active learning. Given a model, a pool and a budget, which examples to label next."""
