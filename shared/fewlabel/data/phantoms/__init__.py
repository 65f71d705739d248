"""Phantom cohorts: synthetic datasets, so that everything runs before any scan is at hand."""
