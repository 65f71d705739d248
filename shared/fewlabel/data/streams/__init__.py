"""Training data: slices or patches from a cache of preprocessed volumes, in two endless streams."""
