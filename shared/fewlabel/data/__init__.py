"""Datasets: find and check their files, split them, read them, and make public and artificial ones."""

from fewlabel.data.cohort import Cohort
from fewlabel.data.patches import PatchDataset
from fewlabel.data.slices import SliceDataset
from fewlabel.data.streams import TwoStreamLoader
from fewlabel.data.volumes import read_volume

__all__ = ["Cohort", "PatchDataset", "SliceDataset", "TwoStreamLoader", "read_volume"]
