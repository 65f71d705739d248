"""Two networks that label unlabeled images for each other, and then see them mixed."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from fewlabel.mixing import MixedHalves, mix_halves
from fewlabel.networks.feature_network import FeatureNetwork, NetworkOutput, forward_features
from fewlabel.sampling import largest_components


@dataclass(frozen=True)
class MixedPass:
    """What two networks make of mixed images, and labels for these.

    Attributes:
        first: output of the first network for the N mixed images.
        second: output of the second one.
        mixed: the images, and where they are from.
        labels_of_first: truth where a voxel comes from a labeled image, elsewhere the classes that the first network
            gave the image before it was mixed, (N, 1, *spatial).
        labels_of_second: the same with the second network's classes.
        unmixed_of_first: output of the first network for the images before they were mixed, without a gradient.
        unmixed_of_second: the same of the second network.
    """

    first: NetworkOutput
    second: NetworkOutput
    mixed: MixedHalves
    labels_of_first: Tensor
    labels_of_second: Tensor
    unmixed_of_first: NetworkOutput
    unmixed_of_second: NetworkOutput

    @property
    def crossed_labels(self) -> tuple[Tensor, Tensor]:
        """What the first and what the second network is to learn where they teach each other."""
        return self.labels_of_second, self.labels_of_first


def forward_mixed(
    first: FeatureNetwork,
    second: FeatureNetwork,
    labeled: tuple[Tensor, Tensor],
    unlabeled: Tensor,
    mixing: str,
    largest_component: bool = True,
    keep_labeled: bool = False,
) -> MixedPass:
    """Label the unlabeled images with both networks, mix, and run both over the mixed images.

    Args:
        first: a network.
        second: another.
        labeled: images (B, C, *spatial) and their labels (B, 1, *spatial).
        unlabeled: images (U, C, *spatial).
        mixing: "cut_mix" or "copy_paste", see :func:`fewlabel.mixing.mix_halves`.
        largest_component: of each class in the networks' labels, keep the largest connected component alone.
        keep_labeled: show the networks the labeled images too before they are mixed.
    """
    image, truth = labeled[0].as_subclass(Tensor), labeled[1].as_subclass(Tensor).long()
    mixed = mix_halves(mixing, image, unlabeled.as_subclass(Tensor))
    shown = image if keep_labeled else image[:0]
    unmixed = [_without_gradient(network, shown, unlabeled) for network in (first, second)]
    labels_of_first, labels_of_second = (output.unlabeled.argmax(dim=1, keepdim=True) for output in unmixed)
    output_of_first = forward_features(first, mixed.images, None, "joint")
    output_of_second = forward_features(second, mixed.images, None, "joint")
    if largest_component:
        classes = output_of_first.logits.shape[1]
        labels_of_first = largest_components(labels_of_first, classes)
        labels_of_second = largest_components(labels_of_second, classes)
    return MixedPass(
        output_of_first,
        output_of_second,
        mixed,
        mixed.labels(truth, labels_of_first),
        mixed.labels(truth, labels_of_second),
        *unmixed,
    )


@torch.no_grad()
def _without_gradient(network: FeatureNetwork, labeled: Tensor, unlabeled: Tensor) -> NetworkOutput:
    return forward_features(network, labeled, unlabeled.as_subclass(Tensor), "joint")
