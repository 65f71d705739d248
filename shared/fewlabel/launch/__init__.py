"""The short way into a bundle: find it, copy it, run it. Nothing here imports PyTorch or MONAI before a run begins."""

from fewlabel.launch.copying import copy_bundle
from fewlabel.launch.folders import bundle_folder, known_bundles, work_folder
from fewlabel.launch.long_form import long_form
from fewlabel.launch.running import hand_over

__all__ = ["bundle_folder", "copy_bundle", "hand_over", "known_bundles", "long_form", "work_folder"]
