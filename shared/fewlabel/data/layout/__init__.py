"""The files of a dataset: its folders, dataset.json, splits.json, and which case is in which split."""
