"""Tell whether a result still belongs to the file, the weights and the settings that it would be made from now."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import Any

import torch
from torch import nn

from fewlabel.data.files.checksums import files_of
from fewlabel.data.streams.transform_description import describe_transforms
from fewlabel.links import require_content

# how much is done at a time changes no result
_PASSING = frozenset({"batch_size", "sw_batch_size"})


def of_weights(*networks: nn.Module) -> str:
    """Return a checksum of all parameters and buffers, by name, type and value.

    >>> one, two = of_weights(nn.ReLU()), of_weights(nn.ReLU(), nn.ReLU())
    >>> one == of_weights(nn.ReLU()), one == two
    (True, False)
    """
    digest = hashlib.sha256()
    for network in networks:
        digest.update(b"network")
        for name, tensor in sorted(network.state_dict().items()):
            digest.update(f"{name} {tensor.dtype} {tuple(tensor.shape)}".encode())
            digest.update(tensor.detach().cpu().contiguous().flatten().view(torch.uint8).numpy())
    return digest.hexdigest()


def of_files(image: str | Sequence[str]) -> str:
    """Return a checksum of names, sizes and times of change of a scan's files, without reading them.

    Of which files: see :func:`fewlabel.data.files.checksums.files_of`. The folder's own place does not count: a dataset
    may be moved.

    Raises:
        FileNotFoundError: a file is a link that points nowhere, or a pointer of git-annex or Git LFS.
    """
    paths = files_of(image)
    for path in paths:
        require_content(path)
    facts = [(path.name, path.stat().st_size, path.stat().st_mtime_ns) for path in paths]
    return hashlib.sha256(repr(facts).encode()).hexdigest()


def of_settings(*components: Any) -> str:
    """Return a checksum of what components are and how they are set up, all the way down.

    How many slices or windows are taken at a time is left out: a person changes it when memory is short.

    >>> from monai.inferers import SlidingWindowInferer as Inferer
    >>> of_settings(Inferer(64)) == of_settings(Inferer(64)), of_settings(Inferer(64)) == of_settings(Inferer(96))
    (True, False)
    """
    return hashlib.sha256(describe_transforms(components, leave_out=_PASSING).encode()).hexdigest()
