from __future__ import annotations

import math
from typing import Any, NamedTuple

import pytest
import torch
import torch.nn.functional as F
from monai.losses import DiceLoss
from torch import Tensor, nn

from fewlabel.losses import nt_xent
from fewlabel.methods import QueryConsistency
from fewlabel.methods.query_consistency import distribution_loss
from fewlabel.networks import DKUXNet

NAMES = {"supervised", "query_supervised", "query_layers", "segmentation_contrast", "query_contrast"}


class Shown(NamedTuple):
    logits: Tensor
    log_distribution: Tensor
    layers: list[Tensor]


class VoxelNetwork(nn.Module):
    """Looks at single voxels, and at blocks of two by two by two for its one layer."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.logits, self.queries, self.layer = (nn.Conv3d(1, 2, size, stride=size) for size in (1, 1, 2))

    def outputs(self, x: Tensor) -> Shown:
        return Shown(self.logits(x), self.queries(x).log_softmax(dim=1), [self.layer(x).log_softmax(dim=1)])


def make_batch(labeled: int = 1, unlabeled: int = 2, size: int = 4) -> dict[str, Any]:
    generator = torch.Generator().manual_seed(labeled + 10 * unlabeled)
    crops = torch.randn(2, labeled + unlabeled, 1, size, size, size, generator=generator)
    label = torch.randint(2, (labeled, 1, size, size, size), generator=generator)
    others = {"image": crops[0, labeled:], "strong": crops[1, labeled:]}
    return {
        "labeled": {"image": crops[0, :labeled], "strong": crops[1, :labeled], "label": label},
        "unlabeled": others if unlabeled else None,
    }


def test_terms_equal_their_equations_on_each_view() -> None:
    network, batch = VoxelNetwork(), make_batch(labeled=1)
    terms = QueryConsistency(network)(batch)

    weak, strong = (torch.cat([batch[part][view] for part in ("labeled", "unlabeled")]) for view in ("image", "strong"))
    a, b = network.outputs(weak), network.outputs(strong)
    label = batch["labeled"]["label"]
    dice = DiceLoss(to_onehot_y=True, softmax=True)
    supervised = [dice(v.logits[:1], label) + F.cross_entropy(v.logits[:1], label[:, 0]) for v in (a, b)]
    torch.testing.assert_close(terms["supervised"], sum(supervised) / 2)
    queries = [F.nll_loss(v.log_distribution[:1], label[:, 0]) for v in (a, b)]
    torch.testing.assert_close(terms["query_supervised"], sum(queries) / 2)
    for name, maps in (
        ("segmentation_contrast", [v.logits.softmax(dim=1) for v in (a, b)]),
        ("query_contrast", [v.log_distribution.exp() for v in (a, b)]),
    ):
        torch.testing.assert_close(terms[name], nt_xent(maps[0].flatten(1), maps[1].flatten(1), 0.1))


def test_the_ground_truth_of_a_coarse_voxel_is_the_share_of_each_class() -> None:
    label = torch.zeros(1, 1, 2, 2, 2, dtype=torch.long)
    label[0, 0, 0, 0, 0] = label[0, 0, 1, 1, 1] = 1
    log_distribution = torch.tensor([0.9, 0.1]).log().view(1, 2, 1, 1, 1)

    expected = -(6 / 8 * math.log(0.9) + 2 / 8 * math.log(0.1))
    assert distribution_loss(log_distribution, label).item() == pytest.approx(expected)


def test_the_distribution_loss_does_not_grow_with_the_volume() -> None:
    log_distribution = torch.randn(1, 2, 2, 2, 2).log_softmax(dim=1)
    label = torch.randint(2, (1, 1, 2, 2, 2))
    larger = log_distribution.repeat(1, 1, 3, 3, 3), label.repeat(1, 1, 3, 3, 3)

    torch.testing.assert_close(distribution_loss(*larger), distribution_loss(log_distribution, label))


def test_equal_views_without_negatives_have_nothing_left_to_learn() -> None:
    batch = make_batch()
    for part in ("labeled", "unlabeled"):
        batch[part]["strong"] = batch[part]["image"]

    terms = QueryConsistency(VoxelNetwork(), negatives=False)(batch)

    assert terms["segmentation_contrast"].item() == pytest.approx(0, abs=1e-6)
    assert terms["query_contrast"].item() == pytest.approx(0, abs=1e-6)


def test_the_weak_view_alone_can_be_supervised() -> None:
    network, batch = VoxelNetwork(), make_batch()
    terms = QueryConsistency(network, supervise_strong=False)(batch)

    shown, label = network.outputs(batch["labeled"]["image"]), batch["labeled"]["label"]
    torch.testing.assert_close(terms["query_supervised"], F.nll_loss(shown.log_distribution, label[:, 0]))


@pytest.mark.parametrize("unlabeled", [0, 1])
def test_trains_dk_uxnet_in_every_parameter(unlabeled: int) -> None:
    torch.manual_seed(0)
    network = DKUXNet(
        channels=2, depths=(1, 1, 1, 1), width=8, embedding=8, feed_forward=8, layers_per_stride=1
    )  # fmt: skip
    method = QueryConsistency(network)

    terms = method(make_batch(1, unlabeled, 32))
    sum(terms.values()).backward()  # type: ignore[union-attr]

    assert set(terms) == NAMES
    assert all(term.ndim == 0 and term.isfinite() for term in terms.values())
    assert [name for name, p in method.named_parameters() if p.grad is None or not p.grad.isfinite().all()] == []


def test_a_batch_without_strong_views_is_an_error_with_the_cure() -> None:
    batch = make_batch()
    del batch["unlabeled"]["strong"]

    with pytest.raises(ValueError, match=r'unlabeled images need .* under "strong".*\[\'image\'\].*CopyItemsd'):
        QueryConsistency(VoxelNetwork())(batch)


def test_a_strong_view_of_another_shape_is_an_error() -> None:
    batch = make_batch()
    batch["labeled"]["strong"] = torch.zeros(1, 1, 2, 2, 2)

    with pytest.raises(ValueError, match=r"of shape \(1, 1, 4, 4, 4\), but got \(1, 1, 2, 2, 2\)"):
        QueryConsistency(VoxelNetwork())(batch)


def test_labels_that_do_not_divide_into_the_coarse_voxels_are_an_error() -> None:
    with pytest.raises(ValueError, match="do not divide into the voxels"):
        distribution_loss(torch.zeros(1, 2, 3, 3, 3), torch.zeros(1, 1, 4, 4, 4))


def test_refuses_a_temperature_of_zero() -> None:
    with pytest.raises(ValueError, match="temperature must be positive, got 0"):
        QueryConsistency(VoxelNetwork(), temperature=0)
