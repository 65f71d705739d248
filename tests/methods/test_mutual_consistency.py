from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from fewlabel.losses import mutual_consistency
from fewlabel.methods import MutualConsistency, Supervised
from fewlabel.networks import MCNet, VNet


class Twins(nn.Module):
    """Two linear maps of voxels."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.decoders = nn.ModuleList(nn.Conv3d(1, 2, 1) for _ in range(2))

    def outputs(self, x: Tensor) -> list[Tensor]:
        return [decoder(x) for decoder in self.decoders]


def batch(unlabeled: int = 1) -> dict[str, dict[str, Tensor] | None]:
    torch.manual_seed(1)
    labeled = {"image": torch.randn(2, 1, 3, 2, 2), "label": torch.randint(2, (2, 1, 3, 2, 2))}
    return {"labeled": labeled, "unlabeled": {"image": torch.randn(unlabeled, 1, 3, 2, 2)} if unlabeled else None}


def foreground_dice(logits: Tensor, label: Tensor) -> float:
    """The released loss: of the foreground's probability, plain sums over the whole batch."""
    p = [float(v) for v in logits.softmax(1)[:, 1].flatten()]
    g = [float(v) for v in label.flatten()]
    overlap = sum(a * b for a, b in zip(p, g, strict=True))
    return 1 - (2 * overlap + 1e-8) / (sum(p) + sum(g) + 1e-8)


def test_terms_are_the_decoders_dice_and_their_consistency_on_all_images() -> None:
    network, data = Twins(), batch()
    terms = MutualConsistency(network)(data)
    image, label = data["labeled"]["image"], data["labeled"]["label"]
    outputs = network.outputs(torch.cat([image, data["unlabeled"]["image"]]))
    assert float(terms["supervised"]) == pytest.approx(
        sum(foreground_dice(one[:2].detach(), label) for one in outputs), abs=1e-6
    )
    torch.testing.assert_close(terms["consistency"], mutual_consistency(outputs))


def test_the_loss_of_the_code_for_slices_is_half_of_ours_and_a_half() -> None:
    network, data = Twins(), batch()
    label = data["labeled"]["label"][:, 0]
    total = 0.0
    for logits in network.outputs(data["labeled"]["image"]):
        for k, share in enumerate(logits.softmax(dim=1).detach().unbind(dim=1)):
            of_class = (label == k).double()
            overlap = float((share * of_class).sum())
            total += (1 - overlap / float((share**2).sum() + (of_class**2).sum())) / 2  # the mean over two classes
    term = MutualConsistency(network, loss="dice")(data)["supervised"]
    assert float(term) == pytest.approx(2 * (total - 2 * 0.5), abs=1e-5)


def test_the_temperature_and_the_stop_of_gradients_are_passed_on() -> None:
    network, data = Twins(), batch()
    images = torch.cat([data["labeled"]["image"], data["unlabeled"]["image"]])
    torch.testing.assert_close(
        MutualConsistency(network, temperature=0.5)(data)["consistency"],
        mutual_consistency(network.outputs(images), 0.5),
    )
    weight = network.decoders[0].weight
    stopped = torch.autograd.grad(mutual_consistency(network.outputs(images), detach_targets=True), [weight])[0]
    for word, same in (("true", True), ("false", False)):  # as a command line has them
        term = MutualConsistency(network, detach_targets=word)(data)["consistency"]  # type: ignore[arg-type]
        assert torch.allclose(torch.autograd.grad(term, [weight])[0], stopped) is same


def test_without_unlabeled_images_the_labeled_ones_are_made_consistent() -> None:
    network, data = Twins(), batch(unlabeled=0)
    terms = MutualConsistency(network)(data)
    torch.testing.assert_close(terms["consistency"], mutual_consistency(network.outputs(data["labeled"]["image"])))


def test_the_networks_of_the_left_atrium_train_and_every_parameter_learns() -> None:
    torch.manual_seed(0)
    data = {
        "labeled": {"image": torch.randn(1, 1, 16, 16, 32), "label": torch.randint(2, (1, 1, 16, 16, 32))},
        "unlabeled": {"image": torch.randn(1, 1, 16, 16, 32)},
    }
    for method in (MutualConsistency(MCNet(channels=2, norm="batch")), Supervised(VNet(channels=2, norm="batch"))):
        torch.stack(list(method(data).values())).sum().backward()
        assert all(parameter.grad is not None for parameter in method.parameters())
        assert [group["name"] for group in method.parameter_groups(network=0.01)] == ["network"]


def test_a_network_with_one_prediction_and_an_unknown_loss_are_refused() -> None:
    with pytest.raises(ValueError, match=r"loss must be one of \('foreground_dice', 'dice'\), got 'dice_ce'"):
        MutualConsistency(Twins(), loss="dice_ce")
    with pytest.raises(ValueError, match="VNet shows one prediction"):
        MutualConsistency(VNet(channels=2))
