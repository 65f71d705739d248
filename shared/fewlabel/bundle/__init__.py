"""What a bundle's JSON needs from the world around it: where it lies, and which cases it works on; and its zip."""

from fewlabel.bundle.cases import BundleCohort
from fewlabel.bundle.errors import explain_errors
from fewlabel.bundle.export import export_bundle
from fewlabel.bundle.images import find_images
from fewlabel.bundle.pack import pack_bundle
from fewlabel.bundle.package import require_same_package
from fewlabel.bundle.peer import load_peer, peer_of
from fewlabel.bundle.root import find_root
from fewlabel.bundle.weights import trained_with
from fewlabel.switches import is_on

__all__ = [
    "BundleCohort",
    "explain_errors",
    "export_bundle",
    "find_images",
    "find_root",
    "is_on",
    "load_peer",
    "pack_bundle",
    "peer_of",
    "require_same_package",
    "trained_with",
]
