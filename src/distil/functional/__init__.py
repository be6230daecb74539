"""The algorithms: tensors in, tensors out. No model, no data set, no file, no print."""
