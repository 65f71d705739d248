"""The interface of a method: networks that turn a batch into named, unweighted loss terms."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn

from fewlabel.conventions.labels import REGISTERED_LABEL
from fewlabel.networks import Averaged

Batch = Mapping[str, Mapping[str, Any] | None]


class Method(nn.Module, ABC):
    """A way to learn from labeled and unlabeled images.

    A method owns its networks, projectors and banks, so that one ``state_dict`` holds all that a resumed run
    needs, and one ``forward`` holds the whole step, so that distributed training wraps the method alone.
    """

    @abstractmethod
    def forward(self, batch: Batch, progress: float = 0.0) -> dict[str, Tensor]:
        """Return the loss terms of a batch, each a scalar, always under the same names.

        Args:
            batch: ``{"labeled": {"image": (B, C, *spatial), "label": (B, 1, *spatial)}, "unlabeled": {"image":
                (U, C, *spatial)} or None}``.
            progress: share of the training run that is done, in [0, 1].
        """

    def networks(self) -> dict[str, nn.Module]:
        """Return the networks that can segment, by name: the one used for inference first, then those to compare.

        Here ``network``, ``second_network`` and averaged teachers, as far as the method has them; a method that calls
        its networks otherwise names them.

        Raises:
            ValueError: the method has no ``network``, and does not say which of its networks segment.

        >>> from fewlabel.methods import BidirectionalCopyPaste
        >>> list(BidirectionalCopyPaste(nn.Conv2d(1, 2, 1)).networks())
        ['network', 'teacher']
        """
        children = dict(self.named_children())
        if "network" not in children:
            raise ValueError(f"{type(self).__name__} has no network: name those that segment in networks()")
        students = {name: children[name] for name in ("network", "second_network") if name in children}
        return students | {name: child.network for name, child in children.items() if isinstance(child, Averaged)}

    def parameter_groups(self, **learning_rates: float) -> list[dict[str, Any]]:
        """Return an optimizer's parameter groups, one per submodule with a learning rate of its own.

        Parameters that require no gradient, as those of frozen networks and teachers, are in no group.

        Args:
            learning_rates: learning rate by name of a direct submodule.

        Raises:
            ValueError: the names are not exactly the submodules that have parameters to train.
        """
        owners = {name for name, child in self.named_children() if _trained(child)}
        if owners != set(learning_rates):
            raise ValueError(
                f"{type(self).__name__} trains parameters in {sorted(owners)}, but learning rates were given for "
                f"{sorted(learning_rates)}: name each once"
            )
        return [
            {"params": _trained(self.get_submodule(name)), "lr": rate, "name": name}
            for name, rate in learning_rates.items()
        ]


def _trained(module: nn.Module) -> list[nn.Parameter]:
    return [parameter for parameter in module.parameters() if parameter.requires_grad]


def labeled_part(batch: Batch) -> Mapping[str, Any]:
    """Return the labeled half of a batch.

    Raises:
        ValueError: there is none, or it lacks its images or their labels.

    >>> sorted(labeled_part({"labeled": {"image": torch.zeros(1), "label": torch.zeros(1)}, "unlabeled": None}))
    ['image', 'label']
    """
    labeled = batch.get("labeled")
    if labeled is None:
        raise ValueError("the batch has no labeled part; every method learns from labeled images too")
    missing = {"image", "label"} - set(labeled)
    if missing:
        raise ValueError(
            f"the labeled part of the batch lacks {sorted(missing)}, it has {sorted(labeled)}; check the keys of the "
            "labeled dataset's transforms"
        )
    return labeled


def unlabeled_images(batch: Batch) -> Tensor | None:
    """Return the images (U, C, *spatial) of the unlabeled half of a batch, None where it has none.

    Raises:
        ValueError: the images are no tensor.
    """
    unlabeled = batch.get("unlabeled")
    if unlabeled is None:
        return None
    image = unlabeled["image"]
    if not isinstance(image, torch.Tensor):
        raise ValueError(f"unlabeled images must be one tensor (U, C, *spatial), got {type(image).__name__}")
    return image


def registered_labels(batch: Batch) -> Tensor:
    """Return the labels (U, 1, *spatial) that registration brought to the unlabeled half of a batch.

    Raises:
        ValueError: there are none.
    """
    labels = (batch.get("unlabeled") or {}).get(REGISTERED_LABEL)
    if not isinstance(labels, torch.Tensor):
        raise ValueError(
            f"the unlabeled half of the batch has no {REGISTERED_LABEL!r}: give unlabeled items the labels that "
            "registration brought them, or train without registered labels"
        )
    return labels.as_subclass(Tensor).long()
