"""Checks of a whole dataset before hours of training, and the problems they report."""
