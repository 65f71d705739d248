"""Datasets: find and check their files, split them, read them, and make public and artificial ones."""

from fewlabel.data.cohort import Cohort
from fewlabel.data.files.volumes import read_volume
from fewlabel.data.streams.patch_dataset import PatchDataset
from fewlabel.data.streams.slice_dataset import SliceDataset
from fewlabel.data.streams.two_streams import TwoStreamLoader

__all__ = ["Cohort", "PatchDataset", "SliceDataset", "TwoStreamLoader", "read_volume"]
