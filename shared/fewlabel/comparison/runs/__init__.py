"""The training runs of a comparison: which there are, how they are started, and what is noted of each."""
