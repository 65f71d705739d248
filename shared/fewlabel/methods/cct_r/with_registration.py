"""Registered labels and positives on top of any other method (thesis chapter 6, table 6.3)."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from fewlabel.losses import supervised_loss
from fewlabel.methods.base import Batch, Method, labeled_part, registered_labels, unlabeled_images
from fewlabel.methods.cct_r.registered_contrast import ContrastedImages, RegisteredContrast
from fewlabel.networks import Averaged, NetworkOutput, forward_features
from fewlabel.parsing import parse_arguments


class WithRegistration(Method):
    """Another method's terms, and beside them what registration adds: its labels, and its positives in a contrast.

    Its networks see the batch's images once more, as they are, whatever the method made of them. Two students, or a
    student and its averaged teacher, are contrasted; a teacher learns nothing.

    Terms: the method's, ``registered``, the sum over its students, 0 without unlabeled images; with ``contrast`` also
    ``contrastive``.

    Args:
        method: the method; its networks must have ``features`` and ``head``.
        registered: learn registered labels, which unlabeled items have under ``registered_label`` (RSL).
        contrast: the contrast, with registered positives or without; None leaves it out.

    Raises:
        ValueError: the method has a single network, and is to be contrasted with another.
    """

    @parse_arguments
    def __init__(self, method: Method, registered: bool = True, contrast: RegisteredContrast | None = None) -> None:
        super().__init__()
        self.method = method
        self.registered = registered
        self.contrast = contrast
        self._supervised = supervised_loss()
        taught = {id(child.network) for child in method.children() if isinstance(child, Averaged)}
        networks = method.networks()
        if contrast is not None and len(networks) < 2:
            raise ValueError(f"{type(method).__name__} has one network, and a contrast needs two: leave contrast out")
        self._students = [name for name, network in networks.items() if id(network) not in taught]

    def networks(self) -> dict[str, nn.Module]:
        """Return the method's networks, see :meth:`Method.networks`."""
        return self.method.networks()

    def parameter_groups(self, **learning_rates: float) -> list[dict[str, Any]]:
        """Return an optimizer's parameter groups: the method's, and that of ``contrast``, if there is one.

        Raises:
            ValueError: a learning rate is missing, or one too many.
        """
        if self.contrast is None:
            return self.method.parameter_groups(**learning_rates)
        if "contrast" not in learning_rates:
            raise ValueError("the contrast trains a projector: give learning_rates a rate for contrast")
        rate = learning_rates.pop("contrast")
        own = {"params": list(self.contrast.parameters()), "lr": rate, "name": "contrast"}
        return [*self.method.parameter_groups(**learning_rates), own]

    def forward(self, batch: Batch, progress: float = 0.0) -> dict[str, Tensor]:
        """Return the loss terms, see :meth:`Method.forward`."""
        terms: dict[str, Tensor] = self.method(batch, progress)
        outputs = {name: self._see(name, network, batch) for name, network in self._seen().items()}
        if self.registered:
            terms["registered"] = self._registered(batch, [outputs[name] for name in self._students])
        if self.contrast is not None:
            first, second = list(outputs.values())[:2]
            label: Tensor = labeled_part(batch)["label"]
            terms["contrastive"] = self.contrast(ContrastedImages.of_whole(first, second, label), batch)
        return terms

    def _seen(self) -> dict[str, nn.Module]:
        if self.contrast is not None:
            return self.networks()
        return {name: network for name, network in self.networks().items() if name in self._students}

    def _see(self, name: str, network: nn.Module, batch: Batch) -> NetworkOutput:
        with torch.set_grad_enabled(torch.is_grad_enabled() and name in self._students):
            image = labeled_part(batch)["image"]
            return forward_features(network, image, unlabeled_images(batch), "joint")  # type: ignore[arg-type]

    def _registered(self, batch: Batch, students: list[NetworkOutput]) -> Tensor:
        if not len(students[0].unlabeled):
            return students[0].logits.new_zeros(())
        labels = registered_labels(batch)
        return torch.stack([self._supervised(student.unlabeled, labels) for student in students]).sum()
