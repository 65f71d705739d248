"""Compare bundles over numbers of labels and seeds: runs that go on where they were stopped, and one table."""

from fewlabel.comparison.compare import compare
from fewlabel.comparison.runs.grid import make_runs
from fewlabel.comparison.runs.run import Run
from fewlabel.comparison.tables.bootstrap import paired_interval

__all__ = ["Run", "compare", "make_runs", "paired_interval"]
