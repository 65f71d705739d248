"""Start a Swin-Unet from published weights of a Swin Transformer."""

from __future__ import annotations

import logging
import pickle
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor, nn

from fewlabel.finite import not_finite
from fewlabel.listing import first_few
from fewlabel.networks.swin.weight_names import rename_swin

logger = logging.getLogger(__name__)

_FOLDER_FILES = ("model.safetensors", "pytorch_model.bin")
_FILE_ENDINGS = (".safetensors", ".bin", ".pt", ".pth", ".ckpt")
_ADVICE = (
    "Pass a Swin-Tiny checkpoint (patch 4, window 7) of timm, torchvision, transformers or the Swin authors: "
    "a file, a folder with model.safetensors or pytorch_model.bin, or a hub id such as "
    "microsoft/swin-tiny-patch4-window7-224."
)


@dataclass(frozen=True)
class PretrainedReport:
    """What was taken from a checkpoint, by the names of :class:`SwinUnet`.

    Attributes:
        source: the file that was read.
        scheme: "transformers", "torchvision", "timm" or "swin".
        encoder: encoder weights that were loaded.
        decoder: decoder weights that were copied from the encoder stage of the same resolution.
        missing: encoder weights that kept their random start.
        mismatched: weights of the file whose shape differs from the network's, with both shapes.
        unused: weights of the file that have no place in the network (deeper blocks, the classifier).

    """

    source: str
    scheme: str
    encoder: tuple[str, ...]
    decoder: tuple[str, ...]
    missing: tuple[str, ...]
    mismatched: tuple[str, ...]
    unused: tuple[str, ...]

    def __str__(self) -> str:
        lines = [
            f"{self.source} ({self.scheme} names): {len(self.encoder)} encoder weights loaded, {len(self.decoder)} "
            f"copied into the decoder, {len(self.unused)} of the file unused."
        ]
        lines += [f"Left at random: {first_few(self.missing)}."] if self.missing else []
        lines += [f"Shapes differ: {first_few(self.mismatched)}."] if self.mismatched else []
        return " ".join(lines)


def load_pretrained_swin(network: nn.Module, path_or_name: str | Path) -> PretrainedReport:
    """Load a Swin Transformer's weights into the encoder, and into the decoder's stages of the same resolution.

    Cao et al., "Swin-Unet", ECCV Workshops 2022, start both halves from ImageNet weights: the blocks of encoder stage
    i also go into the decoder stage of that resolution. Blocks beyond the network's depths, and the classifier, are
    left out.

    Args:
        network: the :class:`SwinUnet` to fill, in place; untouched if an error is raised.
        path_or_name: a file (.safetensors, or one that torch.load reads), a folder with model.safetensors or
            pytorch_model.bin, or a hub id ("owner/name"; needs ``pip install '.[pretrained]'`` in a checkout).

    Returns:
        What was loaded and what was not; also logged.

    Raises:
        FileNotFoundError: if there is no such file, or the hub cannot deliver it.
        ValueError: if the file is no state dict, its names are unknown, or it fills less than half of the encoder.

    """
    file = _locate(path_or_name)
    scheme, weights = rename_swin(_read(file))
    if scheme is None:
        raise ValueError(
            f"{file} does not name its weights like a Swin Transformer; it has {_some(weights)}. {_ADVICE}"
        )
    own = network.state_dict()
    wanted = [name for name in own if name.startswith(("patch_embed.", "encoder.", "norm."))]
    fitting = {name: weights[name] for name in wanted if name in weights and weights[name].shape == own[name].shape}
    mismatched = tuple(
        f"{name} {tuple(weights[name].shape)} in the file, {tuple(own[name].shape)} in the network"
        for name in wanted
        if name in weights and name not in fitting
    )
    stages = 1 + max(int(name.split(".")[1]) for name in own if name.startswith("encoder."))
    share = sum(own[name].numel() for name in fitting) / sum(own[name].numel() for name in wanted)
    if share < 0.5:
        raise ValueError(
            f"{file} fills only {share:.0%} of the encoder ({len(fitting)} of {len(wanted)} weights). "
            f"Shapes that differ: {_some(mismatched)}. {_ADVICE}"
        )
    mirrored = {_mirror(name, stages): tensor for name, tensor in fitting.items()}
    copies = {name: tensor for name, tensor in mirrored.items() if name is not None and name in own}
    network.load_state_dict(fitting | copies, strict=False)
    report = PretrainedReport(
        source=str(file),
        scheme=scheme,
        encoder=tuple(fitting),
        decoder=tuple(copies),
        missing=tuple(name for name in wanted if name not in fitting),
        mismatched=mismatched,
        unused=tuple(name for name in weights if name not in wanted),
    )
    logger.log(logging.WARNING if report.missing else logging.INFO, "%s", report)
    return report


def _mirror(name: str, stages: int) -> str | None:
    """The decoder's counterpart of a weight of an encoder block; stage i of n is stage n - 2 - i there."""
    parts = name.split(".")
    if parts[0] != "encoder" or parts[2] != "blocks":
        return None
    return ".".join(["decoder", str(stages - 2 - int(parts[1])), *parts[2:]])


def _some(names: Mapping[str, object] | tuple[str, ...]) -> str:
    return first_few(names) or "none"


def _locate(path_or_name: str | Path) -> Path:
    path = Path(path_or_name).expanduser()
    if path.is_file():
        return path
    if path.is_dir():
        for name in _FOLDER_FILES:
            if (path / name).is_file():
                return path / name
        raise FileNotFoundError(f"The folder {path} holds neither {' nor '.join(_FOLDER_FILES)}. {_ADVICE}")
    name = str(path_or_name)
    if name.endswith(_FILE_ENDINGS) or name.count("/") != 1 or name.startswith((".", "/", "~")):
        raise FileNotFoundError(f"There is no file or folder {path}. {_ADVICE}")
    return _download(name)


def _download(name: str) -> Path:
    try:
        from huggingface_hub import hf_hub_download
        from huggingface_hub.errors import EntryNotFoundError, HfHubHTTPError
    except ImportError as error:
        raise FileNotFoundError(
            f"There is no file or folder {name}, and to fetch it as a hub id needs `pip install '.[pretrained]'` "
            "in a checkout of fewlabel."
        ) from error
    problem: Exception | None = None
    for file in _FOLDER_FILES:
        try:
            return Path(hf_hub_download(name, file))
        except EntryNotFoundError as error:  # this file is not there, or offline and not cached; the other may be
            problem = error
        except (OSError, ValueError, HfHubHTTPError) as error:
            problem = error
            break
    raise FileNotFoundError(
        f"There is no file or folder {name}, and the hub did not deliver weights of that id "
        f"({type(problem).__name__}: {problem}). Check the name and the network connection, or fetch model.safetensors "
        "on a connected machine and pass the path of the file."
    ) from problem


def _read(file: Path) -> dict[str, Tensor]:
    loaded: object
    if file.suffix == ".safetensors":
        try:
            import safetensors.torch
        except ImportError as error:
            raise ValueError(f"Reading {file} needs `pip install '.[pretrained]'` in a checkout.") from error
        try:
            loaded = safetensors.torch.load_file(file)
        except safetensors.SafetensorError as error:
            raise ValueError(f"{file} cannot be read as safetensors: {error}. Fetch it again.") from error
    else:
        try:
            loaded = torch.load(file, map_location="cpu", weights_only=True)
        except (pickle.UnpicklingError, RuntimeError, EOFError) as error:
            raise ValueError(
                f"{file} cannot be read as plain weights, the only kind that is safe to load: {error} "
                "Save the state dict alone with torch.save, or fetch the file again."
            ) from error
    for key in ("model", "state_dict"):
        if isinstance(loaded, Mapping) and isinstance(loaded.get(key), Mapping):
            loaded = loaded[key]
    if not isinstance(loaded, Mapping) or not any(isinstance(value, Tensor) for value in loaded.values()):
        raise ValueError(f"{file} holds no state dict but a {type(loaded).__name__}. {_ADVICE}")
    weights = {str(name): value for name, value in loaded.items() if isinstance(value, Tensor)}
    if broken := not_finite(weights):
        raise ValueError(f"{file} holds values that are not finite in {first_few(broken)}. Fetch the file again.")
    return weights
