"""What a bundle's JSON needs from the world around it: where it lies, and which cases it works on; and its zip."""

from fewlabel.bundle.claim import claim_folders
from fewlabel.bundle.cohort import BundleCohort
from fewlabel.bundle.command_line.check import check_command_line
from fewlabel.bundle.error_hook import explain_errors
from fewlabel.bundle.export.network import export_bundle
from fewlabel.bundle.images import find_images
from fewlabel.bundle.model_note import training_settings
from fewlabel.bundle.packing.pack import pack_bundle
from fewlabel.bundle.packing.package import require_same_package
from fewlabel.bundle.root import find_root
from fewlabel.bundle.second_network import load_second_network, second_checkpoint
from fewlabel.parsing import parse_bool

__all__ = [
    "BundleCohort",
    "check_command_line",
    "claim_folders",
    "explain_errors",
    "export_bundle",
    "find_images",
    "find_root",
    "load_second_network",
    "pack_bundle",
    "parse_bool",
    "require_same_package",
    "second_checkpoint",
    "training_settings",
]
