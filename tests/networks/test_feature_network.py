from __future__ import annotations

import pytest
import torch
from torch import Tensor

from fewlabel.networks.feature_network import forward_features
from helpers.pixel_networks import PixelNetwork, make_batch, small_unet


def test_labeled_logits_come_first_whatever_the_sizes_of_the_streams() -> None:
    network = PixelNetwork(3)
    batch = make_batch(1, 3)
    view = forward_features(network, batch["labeled"]["image"], batch["unlabeled"]["image"], "joint")

    torch.testing.assert_close(view.labeled, network.head(network.features(batch["labeled"]["image"])[1]))
    torch.testing.assert_close(view.unlabeled, network.head(network.features(batch["unlabeled"]["image"])[1]))


def both_passes(norm: str) -> list[Tensor]:
    torch.manual_seed(0)
    network, batch = small_unet(norm=norm), make_batch(2, 3, size=32)
    images = (batch["labeled"]["image"], 5 * batch["unlabeled"]["image"])
    return [forward_features(network, *images, passes).logits for passes in ("joint", "separate")]  # type: ignore[arg-type]


@pytest.mark.parametrize("norm", ["instance", "group"])
def test_joint_and_separate_passes_agree_where_images_are_normalized_on_their_own(norm: str) -> None:
    joint, separate = both_passes(norm)

    torch.testing.assert_close(joint, separate, atol=1e-5, rtol=1e-4)


def test_joint_passes_mix_the_batch_statistics_of_labeled_and_unlabeled_images() -> None:
    joint, separate = both_passes("batch")

    assert (joint - separate).abs().max() > 0.01


def test_separate_passes_give_labeled_images_the_statistics_they_have_alone() -> None:
    torch.manual_seed(0)
    network, batch = small_unet(norm="batch"), make_batch(2, 3, size=32)
    image = batch["labeled"]["image"]

    view = forward_features(network, image, 5 * batch["unlabeled"]["image"], "separate")

    torch.testing.assert_close(view.labeled, network(image))
