"""Refuse, before any work, what a command line of `monai.bundle run` says and no config understands."""
