"""Export a bundle's network to a format that runs without this package, and prove on a scan that it is the same."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from monai.bundle import ConfigParser
from torch import Tensor, nn

from fewlabel.atomic import atomic_open, require_writable
from fewlabel.bundle.export.formats import FORMATS, Forward
from fewlabel.bundle.images import find_images
from fewlabel.data.phantoms.cohort import write_phantom
from fewlabel.handlers.model_saver import load_network
from fewlabel.launch import bundle_folder, work_folder

TOLERANCE = 1e-4


@dataclass(frozen=True)
class Export:
    """An exported network, and what it was checked with.

    Attributes:
        file: where it lies.
        description: its format.
        scan: the scan that both networks segmented.
        difference: largest difference of logits, at any voxel of any slice or patch that the network saw.
        differing: voxels of the scan that were given another label.
        voxels: all of the scan's voxels.
    """

    file: Path
    description: str
    scan: str
    difference: float
    differing: int
    voxels: int

    def __str__(self) -> str:
        return (
            f"{self.file}: {self.description}\n"
            f"checked on {self.scan}: largest difference of logits {self.difference:.1e}, "
            f"{self.differing} of {self.voxels} voxels with another label"
        )


def export_bundle(
    bundle: str | os.PathLike[str],
    to: str,
    out: str | os.PathLike[str] | None = None,
    scan: str | os.PathLike[str] | None = None,
    checkpoint: str | os.PathLike[str] | None = None,
) -> Export:
    """Write a bundle's network with its weights as TorchScript or ONNX, if it computes what the network computes.

    A scan goes through the bundle's own preprocessing and inferer, once with the network and once with what was
    written. The file appears only if no logit differs by more than 1e-4. Everything runs on the CPU.

    Args:
        bundle: the bundle's name or folder.
        to: "torchscript" or "onnx".
        out: the new file; ``models/model.ts`` or ``models/model.onnx`` in the bundle when left out.
        scan: a scan of the kind that the bundle is for; a synthetic heart when left out.
        checkpoint: the weights; the bundle's ``models/model.pt`` when left out.

    Raises:
        FileNotFoundError: no such bundle, scan or weights.
        ImportError: ONNX without the extra ``export``.
        ValueError: an unknown format, one that can't hold this network, weights of another network, see
            :func:`fewlabel.handlers.load_network`, or logits that differ.
    """
    if to not in FORMATS:
        raise ValueError(f"--to is {to!r}, but the known formats are {', '.join(FORMATS)}")
    if scan is not None and not Path(scan).exists():
        raise FileNotFoundError(
            f"{scan}: no such scan; name one with --scan, or leave it out to take a synthetic heart"
        )
    root = bundle_folder(bundle).resolve()
    work = work_folder(root)
    file = work / "models" / f"model{FORMATS[to].suffix}" if out is None else Path(out)
    if file.is_dir():
        raise ValueError(
            f"{file} is a folder; name the file to write, for instance {file / 'model'}{FORMATS[to].suffix}"
        )
    require_writable(file.parent)
    weights = work / "models" / "model.pt" if checkpoint is None else Path(checkpoint)
    config = _config(root, weights)
    network: nn.Module = load_network(config.get_parsed_content("network_def"), weights).cpu().eval()
    image = _image(config, scan, _phantom(root))
    inferer: Callable[[Tensor, Forward], Tensor] = config.get_parsed_content("inferer")
    with torch.no_grad():
        shape = _seen(inferer, image)
        _check_input(config, root, shape)
        with atomic_open(file) as stream:
            description = FORMATS[to].write(network, torch.rand(2, *shape), _notes(root, weights), stream)
            stream.flush()
            both = _Both(network, FORMATS[to].read(Path(stream.name)))
            ours, theirs = inferer(image, both).chunk(2, dim=1)
            if not both.difference <= TOLERANCE:  # nan is no success
                raise ValueError(
                    f"{file}: not written, because its logits differ by up to {both.difference:.1e} from the "
                    f"network's, more than {TOLERANCE:.0e}; export to another format, and please report it"
                )
    changed = ours.argmax(1) != theirs.argmax(1)
    name = "a synthetic heart" if scan is None else str(scan)
    return Export(file, description, name, both.difference, int(changed.sum()), changed.numel())


class _Both:
    """Both networks as one with twice the channels: one pass of the inferer takes the same way for both."""

    def __init__(self, network: Forward, exported: Forward) -> None:
        self.network = network
        self.exported = exported
        self.difference = 0.0

    def __call__(self, images: Tensor) -> Tensor:
        plain = images.as_subclass(Tensor).contiguous()
        ours, theirs = self.network(plain), self.exported(plain)
        largest = float((ours - theirs).abs().max())
        self.difference = largest if not largest <= self.difference else self.difference
        return torch.cat([ours, theirs], dim=1)


def _config(root: Path, weights: Path) -> ConfigParser:
    parser = ConfigParser()
    parser.read_config(str(root / "configs" / "inference.json"))
    parser.read_meta(str(root / "configs" / "metadata.json"))
    parser["bundle_root"], parser["checkpoint"], parser["device"] = str(root), str(weights.resolve()), "cpu"
    return parser


def _phantom(root: Path) -> str:
    """Return the kind of phantom that a bundle demonstrates itself on."""
    train = root / "configs" / "train.json"
    cohort = ConfigParser.load_config_file(str(train)).get("cohort", {}) if train.is_file() else {}
    return str(cohort.get("phantom", "cardiac"))


def _image(config: ConfigParser, scan: str | os.PathLike[str] | None, kind: str) -> Tensor:
    """Return the preprocessed scan (1, C, *spatial), of a phantom where none is given."""
    preprocessing = config.get_parsed_content("preprocessing")
    channels = config.get_parsed_content("trained", default={}).get("in_channels", 1)
    if channels > 1 and scan is None:
        raise ValueError(
            f"the network takes {channels} channels, but the synthetic scan has one; name a scan with --scan, of "
            "channels in files of their own that of the first"
        )
    with tempfile.TemporaryDirectory() as folder:
        if scan is None:
            scan = write_phantom(Path(folder) / "phantom", kind, cases=3) / "imagesTs" / f"{kind}_002.nii.gz"
        files = find_images(scan, channels)[0]["image"] if channels > 1 else str(scan)
        image: Tensor = preprocessing({"image": files})["image"]
    return image[None]


def _seen(inferer: Callable[[Tensor, Forward], Tensor], image: Tensor) -> tuple[int, ...]:
    """Return the shape (C, *spatial) of what the inferer gives to the network."""
    shapes: set[tuple[int, ...]] = set()

    def look(images: Tensor) -> Tensor:
        shapes.add(tuple(images.shape[1:]))
        return images[:, :1]

    inferer(image, look)
    if len(shapes) != 1:
        raise ValueError(f"the inferer cuts pieces of several shapes, {sorted(shapes)}; set one that fits this scan")
    return shapes.pop()


def _check_input(config: ConfigParser, root: Path, shape: tuple[int, ...]) -> None:
    promised = config["_meta_#network_data_format#inputs#image"]
    channels, rank = promised["num_channels"], len(promised["spatial_shape"])
    if (shape[0], len(shape) - 1) != (channels, rank):
        raise ValueError(
            f"{root / 'configs' / 'metadata.json'} promises {channels} channels in {rank} dimensions, but the network "
            f"is given {shape[0]} in {len(shape) - 1}; correct network_data_format, or name a fitting scan with --scan"
        )


def _notes(root: Path, weights: Path) -> dict[str, Any]:
    """What whoever runs the file must know: what goes in and out, how to infer, what the weights were trained with."""
    files = {"metadata": root / "configs" / "metadata.json", "inference": root / "configs" / "inference.json"}
    note = weights.with_suffix(".json")
    files |= {"model": note} if note.is_file() else {}
    return {name: ConfigParser.load_config_file(str(file)) for name, file in files.items()}
