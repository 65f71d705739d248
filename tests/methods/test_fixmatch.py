from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor, nn

from fewlabel import mixing
from fewlabel.losses import supervised_loss, weighted_cross_entropy, weighted_dice
from fewlabel.methods import FixMatch
from fewlabel.networks import UNet, drop_channels
from fewlabel.transforms import strong_view
from helpers.pixel_networks import OneClass, make_batch


class Pixels(nn.Module):
    """Logits of single pixels, with an encoder and a decoder, for slices and volumes."""

    def __init__(self, axes: int = 2, sureness: float = 8.0) -> None:
        super().__init__()
        layer = nn.Conv2d if axes == 2 else nn.Conv3d
        self.encoder, self.head = layer(1, 6, 1), layer(6, 4, 1)
        self.head.weight.data *= sureness
        with torch.no_grad():  # no class is preferred, so that it is sure of some pixels and unsure of others
            grays = torch.linspace(0, 1, 32).view(-1, 1, *[1] * axes)
            self.head.bias -= self(grays).mean(dim=(0, *range(2, 2 + axes)))

    def encode(self, x: Tensor) -> list[Tensor]:
        return [self.encoder(x)]

    def decode(self, maps: list[Tensor]) -> Tensor:
        logits: Tensor = self.head(maps[0])
        return logits

    def forward(self, x: Tensor) -> Tensor:
        return self.decode(self.encode(x))


class Sure(OneClass):
    def forward(self, x: Tensor) -> Tensor:
        return self.features(x)[1]


def build(axes: int = 2, **options: Any) -> FixMatch:
    torch.manual_seed(0)
    return FixMatch(Pixels(axes), **options)


def volumes() -> dict[str, Any]:
    generator = torch.Generator().manual_seed(1)
    image, others = torch.rand(2, 2, 1, 6, 6, 4, generator=generator)
    return {
        "labeled": {"image": image, "label": torch.randint(4, image.shape, generator=generator)},
        "unlabeled": {"image": others},
    }


@pytest.mark.parametrize("axes", [2, 3])
@pytest.mark.parametrize(("loss", "function"), [("dice", weighted_dice), ("cross_entropy", weighted_cross_entropy)])
def test_it_equals_its_parts_put_together_by_hand(axes: int, loss: str, function: Any) -> None:
    method = build(axes, threshold=0.6, loss=loss, mixed=0.7)
    batch = make_batch(2, 3) if axes == 2 else volumes()
    torch.manual_seed(5)
    terms = method(batch, 0.5)

    torch.manual_seed(5)
    weak = batch["unlabeled"]["image"]
    confidence, classes = method.network(weak).softmax(dim=1).max(dim=1, keepdim=True)
    counts = (confidence >= 0.6).float()
    assert 0 < counts.mean() < 1
    following = [*range(1, len(weak)), 0]
    expected = []
    for _ in range(2):
        strong = strong_view(weak)
        outside = mixing.cut_mix(len(weak), tuple(weak.shape[2:]), 0.7).mask
        mixed = [torch.where(outside, part, part[following]) for part in (strong, classes, counts)]
        expected.append(function(method.network(mixed[0]), mixed[1], mixed[2]))
    torch.testing.assert_close(terms["strong"], torch.stack(expected).mean())
    dropped = drop_channels(method.network.encode(weak), 0.5)
    torch.testing.assert_close(terms["features"], function(method.network.decode(dropped), classes, counts))
    labeled = batch["labeled"]
    torch.testing.assert_close(
        terms["supervised"], supervised_loss()(method.network(labeled["image"]), labeled["label"])
    )


@pytest.mark.parametrize("loss", ["dice", "cross_entropy"])
def test_at_threshold_0_every_pixel_counts_and_at_1_only_what_is_certain(loss: str) -> None:
    batch = make_batch(2, 2, num_classes=3)
    method = build(threshold=0.0, loss=loss)
    assert method._labeled_by_itself(batch["unlabeled"]["image"])[1].all()
    terms = build(threshold=1.0, loss=loss)(batch, 0.5)
    assert terms["strong"] == 0
    assert terms["features"] == 0
    terms["strong"].backward()
    certain = FixMatch(Sure(1), threshold=1.0, feature_dropout=None)
    assert certain._labeled_by_itself(batch["unlabeled"]["image"])[1].all()


@pytest.mark.parametrize("unlabeled", [0, 1, 3])
@pytest.mark.parametrize("decay", [None, 0.9])
@pytest.mark.parametrize("dropout", [None, 0.5])
def test_terms_keep_their_names_whatever_the_batch_holds(
    unlabeled: int, decay: float | None, dropout: float | None
) -> None:
    terms = build(threshold=0.0, decay=decay, feature_dropout=dropout)(make_batch(2, unlabeled), 0.5)
    assert list(terms) == ["supervised", "strong", "features"]
    assert (terms["strong"] == 0) == (unlabeled == 0)
    assert (terms["features"] == 0) == (unlabeled == 0 or dropout is None)


def test_labels_carry_no_gradient_and_come_from_the_average_where_there_is_one() -> None:
    method = build(threshold=0.0, decay=0.9, feature_dropout=None)
    assert method.teacher is not None
    with torch.no_grad():
        method.teacher.network.head.bias.copy_(torch.tensor([0.0, 0.0, 0.0, 100.0]))
    weak = make_batch()["unlabeled"]["image"]
    assert bool((method._labeled_by_itself(weak)[0] == 3).all())
    method(make_batch(), 0.5)["strong"].backward()
    assert all(parameter.grad is None for parameter in method.teacher.parameters())
    assert all(parameter.grad is not None for parameter in method.network.parameters())


def test_channels_are_dropped_whole_and_the_others_scaled() -> None:
    maps = [torch.ones(4, 32, 3, 3), torch.ones(4, 32, 2, 2, 2)]
    for one in (maps[:1], maps[1:]):
        (dropped,) = drop_channels(one, 0.5)
        per_channel = dropped.flatten(2)
        assert set(dropped.unique().tolist()) == {0.0, 2.0}
        assert torch.equal(per_channel.amin(dim=2), per_channel.amax(dim=2))


def test_the_published_network_learns_with_all_views() -> None:
    method = FixMatch(UNet(channels=(4,) * 3, dropout=(0.0,) * 3, norm="instance"), threshold=0.0)
    torch.stack([*method(make_batch(2, 2), 0.5).values()]).sum().backward()
    assert all(parameter.grad is not None for parameter in method.parameters())


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"threshold": 1.5}, "threshold is a probability"),
        ({"views": 0}, "views must be at least 1"),
        ({"mixed": -0.1}, "mixed is a probability"),
        ({"feature_dropout": 1.0}, "feature_dropout is a probability"),
        ({"loss": "mse"}, "loss must be one of"),
    ],
)
def test_options_out_of_range_are_errors(options: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        build(**options)


def test_a_network_without_encoder_and_decoder_is_refused_where_channels_are_to_be_dropped() -> None:
    with pytest.raises(ValueError, match="OneClass has no encode and decode"):
        FixMatch(OneClass(1))
