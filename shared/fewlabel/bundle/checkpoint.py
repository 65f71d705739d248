"""Whether a bundle's weights are those of its networks."""

from __future__ import annotations

import os
from pathlib import Path

from monai.bundle import ConfigParser
from torch import nn

from fewlabel.handlers.model_saver import load_network
from fewlabel.launch import work_folder

# the key of inference.json that defines the network whose weights are in the file
NETWORKS = {"models/model.pt": "network_def", "models/model_second.pt": "second_network_def"}


def check_weights(root: str | os.PathLike[str], file: str) -> None:
    """Build the network of ``inference.json`` and load the weights into it, strictly.

    Args:
        root: the bundle's folder.
        file: "models/model.pt" or "models/model_second.pt".

    Raises:
        FileNotFoundError: no such weights.
        ValueError: they do not fit, see :func:`fewlabel.handlers.load_network`; or the configuration does not define
            the network.
    """
    folder, key = Path(root).resolve(), NETWORKS[file]
    work = work_folder(folder)
    config = folder / "configs" / "inference.json"
    parser = ConfigParser()
    parser.read_config(str(config))
    parser["bundle_root"] = str(work)
    parser["checkpoint"] = str(work / "models" / "model.pt")
    if f"{key}#_disabled_" in parser:
        parser[f"{key}#_disabled_"] = False  # the second student is built only when it is asked for
    network = parser.get_parsed_content(key, default=None) if key in parser else None
    if not isinstance(network, nn.Module):
        raise ValueError(f"{config}: {key} defines no network, so {file} can't be checked; define it there")
    load_network(network, work / file)
