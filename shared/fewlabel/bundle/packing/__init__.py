"""Bundles as self-contained zips."""
