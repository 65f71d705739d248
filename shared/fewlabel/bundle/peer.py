"""The second student, where a method trains two and a person asks how far they disagree."""

from __future__ import annotations

import os
from pathlib import Path

import torch
from torch import nn

from fewlabel.handlers.models import PEERS, load_network


def peer_of(checkpoint: str | os.PathLike[str]) -> str:
    """Return where the second student's weights lie beside the first's, of the same epoch.

    >>> peer_of("models/model_last.pt")
    'models/model_peer_last.pt'
    """
    path = Path(checkpoint)
    return str(path.with_name(PEERS.get(path.name, f"{path.stem}_peer{path.suffix}")))


def load_peer(
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
            "their file with --peer_checkpoint, or leave --uncertainty out"
        )
    return load_network(network, checkpoint).to(device)
