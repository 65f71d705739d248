"""Find the weights of the networks that a method trains beside the one used for inference."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from pathlib import Path

from torch import nn

from fewlabel.handlers.model_saver import BEST, SECOND_FILES, other_file

_log = logging.getLogger(__name__)


def other_checkpoints(
    checkpoints: Mapping[str, Path], others: Mapping[str, nn.Module]
) -> dict[str, tuple[Path, nn.Module]]:
    """Return what to score of other networks by name of the weights, "transformer best" for instance.

    Args:
        checkpoints: files of the first network's weights by name, as ``model.pt`` and ``model_last.pt``.
        others: networks by name.

    Raises:
        FileNotFoundError: there are no weights of a network.
    """
    found = {}
    for name, network in others.items():
        for which, path in checkpoints.items():
            own = path.with_name(other_file(name, path.name))
            # a second student's are kept of the first one's best epoch too, to compare the two
            beside = path.with_name(SECOND_FILES.get(path.name, own.name))
            if own.is_file():
                found[f"{name} {which}"] = (own, network)
            elif not beside.is_file():
                raise FileNotFoundError(
                    f"{own}: no weights of the {name}, and --both_networks scores them; train with --both_networks "
                    "true, or leave it out for a bundle that trains one network"
                )
            elif path.name == BEST:
                _log.info("the best epoch of the %s is not known; it is scored at that of the first network", name)
                found[f"{name} at {which}"] = (beside, network)
            else:
                found[f"{name} {which}"] = (beside, network)
    return found
