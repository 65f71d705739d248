"""The second student, where a method trains two and a person asks how far they disagree."""

from __future__ import annotations

import logging
import os
from pathlib import Path

import torch
from torch import nn

from fewlabel.handlers.model_saver import FORMER_SECOND_FILES, SECOND_FILES, load_network

_log = logging.getLogger(__name__)


def second_checkpoint(checkpoint: str | os.PathLike[str]) -> str:
    """Return where the second student's weights are, beside the first's and of the same epoch.

    Weights saved under the name that they had before 0.1.0, ``model_peer.pt``, are found too, with a warning.

    >>> second_checkpoint("models/model_last.pt")
    'models/model_second_last.pt'
    """
    path = Path(checkpoint)
    second = path.with_name(SECOND_FILES.get(path.name, f"{path.stem}_second{path.suffix}"))
    former = second.with_name(FORMER_SECOND_FILES.get(second.name, second.name))
    if former.is_file() and not second.is_file():
        _log.warning("%s is read in place of %s, as these weights are called now; rename the file", former, second.name)
        return str(former)
    return str(second)


def load_second_network(
    network: nn.Module | None, checkpoint: str | os.PathLike[str] | None, device: str | torch.device
) -> nn.Module | None:
    """Load the second student's weights into a network, and return it on a device; None without a network.

    Raises:
        FileNotFoundError: there are no weights of a second student.
        ValueError: they are damaged, or of another architecture.
    """
    if network is None or checkpoint is None:
        return None
    if not Path(checkpoint).is_file():
        raise FileNotFoundError(
            f"{checkpoint}: no weights of the second student, and --uncertainty compares with them; train first, name "
            "their file with --second_checkpoint, or leave --uncertainty out"
        )
    return load_network(network, checkpoint).to(device)
