from __future__ import annotations

import math
from typing import Any, NamedTuple

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from fewlabel.losses import vision_text_consistency, weighted_vision_text_consistency
from fewlabel.methods import DynamicLabeling
from fewlabel.methods.dynamic_labeling import student_weights
from fewlabel.networks import VCLIPSeg
from fewlabel.networks.mc_net import MCNet


class Shown(NamedTuple):
    first: Tensor
    second: Tensor
    projections: list[Tensor]


class Twins(nn.Module):
    """Two students that look at single voxels, and a head that sees blocks of two by two by two."""

    def __init__(self, seed: int = 0, heads: int = 2) -> None:
        super().__init__()
        torch.manual_seed(seed)
        self.first, self.second = nn.Conv3d(1, 2, 1), nn.Conv3d(1, 2, 1)
        self.heads = nn.ModuleList(nn.Conv3d(1, 3, 2, stride=2) for _ in range(heads))
        self.register_buffer("text", torch.randn(2, 3))

    def outputs(self, x: Tensor) -> Shown:
        return Shown(self.first(x), self.second(x), [head(x) for head in self.heads])


def make_batch(labeled: int = 2, unlabeled: int = 2, size: int = 4) -> dict[str, Any]:
    generator = torch.Generator().manual_seed(labeled + 10 * unlabeled)
    image, others = (torch.randn(n, 1, size, size, size, generator=generator) for n in (labeled, unlabeled))
    label = torch.randint(2, (labeled, 1, size, size, size), generator=generator)
    return {"labeled": {"image": image, "label": label}, "unlabeled": {"image": others} if unlabeled else None}


def dice(foreground: Tensor, truth: Tensor) -> float:
    """The released Dice loss, over the foreground of the whole batch."""
    overlap, size = (foreground * truth).sum(), foreground.sum() + truth.sum()
    return 1 - (2 * float(overlap) + 1e-8) / (float(size) + 1e-8)


def test_the_better_student_weighs_more_as_equations_7_and_8_say() -> None:
    losses = [0.2, 0.7]
    powers = [math.exp(1 - 1 / (1 + math.exp(-loss))) for loss in losses]

    assert student_weights(torch.tensor(losses)).tolist() == pytest.approx([power / sum(powers) for power in powers])
    assert student_weights(torch.tensor([0.4, 0.4])).tolist() == [0.5, 0.5]


@pytest.mark.parametrize("pseudo_labels", ["hard", "soft"])
@pytest.mark.parametrize("teach_labeled", [False, True])
def test_terms_equal_the_equations_written_out(pseudo_labels: str, teach_labeled: bool) -> None:
    network, batch = Twins(), make_batch()
    terms = DynamicLabeling(network, pseudo_labels=pseudo_labels, teach_labeled=teach_labeled)(batch)

    label, every = batch["labeled"]["label"], torch.cat([batch["labeled"]["image"], batch["unlabeled"]["image"]])
    students = [student(every).softmax(dim=1).detach() for student in (network.first, network.second)]
    losses = [dice(p[:2, 1], label[:, 0]) for p in students]
    assert terms["supervised"].item() == pytest.approx(sum(losses), abs=1e-5)

    powers = [math.exp(1 - 1 / (1 + math.exp(-loss))) for loss in losses]
    taught = slice(0 if teach_labeled else 2, None)
    mixed = sum(w / sum(powers) * p[taught] for w, p in zip(powers, students, strict=True))
    if pseudo_labels == "hard":
        mixed = torch.stack([mixed[:, 0] >= mixed[:, 1], mixed[:, 0] < mixed[:, 1]], dim=1).float()
    expected = sum(
        dice(p[taught, 1], mixed[:, 1]) - float((mixed * p[taught].log()).sum(dim=1).mean()) for p in students
    )
    assert terms["dynamic"].item() == pytest.approx(expected, abs=1e-5)


def agreement(network: Twins, batch: dict[str, Any]) -> Tensor:
    """The class of each labeled voxel on which ground truth and both students agree, -1 for the others."""
    image, label = batch["labeled"]["image"], batch["labeled"]["label"][:, 0]
    agreed = label.clone()
    for student in (network.first, network.second):
        agreed[student(image).argmax(dim=1) != label] = -1
    assert (agreed >= 0).any()
    assert (agreed < 0).any()
    return agreed


@pytest.mark.parametrize(("coarse_labels", "place"), [("center", 1), ("corner", 0)])
@pytest.mark.parametrize("unit_length", ["channels", "depth"])
def test_the_consistency_sees_one_voxel_of_each_block_where_all_three_agree(
    coarse_labels: str, place: int, unit_length: str
) -> None:
    network, batch = Twins(), make_batch()
    agreed = agreement(network, batch)[(slice(None), *[slice(place, None, 2)] * 3)]

    features = torch.cat([head(batch["labeled"]["image"]) for head in network.heads])
    expected = vision_text_consistency(features, torch.cat([agreed, agreed]), network.text, unit_length)
    method = DynamicLabeling(network, coarse_labels=coarse_labels, unit_length=unit_length)
    torch.testing.assert_close(method(batch)["text"], expected)


def test_the_consistency_counts_what_each_block_holds_of_each_class() -> None:
    network, batch = Twins(), make_batch()
    agreed = agreement(network, batch)
    held = torch.zeros(2, 2, 2, 2, 2)
    for b, x, y, z in (agreed >= 0).nonzero().tolist():
        held[b, agreed[b, x, y, z], x // 2, y // 2, z // 2] += 1 / 8

    features = torch.cat([head(batch["labeled"]["image"]) for head in network.heads])
    expected = weighted_vision_text_consistency(features, torch.cat([held, held]), network.text)
    torch.testing.assert_close(DynamicLabeling(network)(batch)["text"], expected)


class Knowing(nn.Module):
    """Two students that read the labels out of the image, and a head of one channel for each block."""

    def __init__(self, blocks: Tensor) -> None:
        super().__init__()
        self.blocks = blocks
        self.register_buffer("text", torch.eye(2))

    def outputs(self, x: Tensor) -> Shown:
        logits = torch.cat([-x, x], dim=1)
        return Shown(logits, logits, [self.blocks])


def test_a_block_that_is_mostly_background_counts_as_such_though_its_center_is_atrium() -> None:
    # two blocks: the center of the first one is atrium, as an eighth of its voxels; the second one is background
    label = torch.zeros(1, 1, 4, 4, 8)
    label[..., 1:3, 1:3, 1:3] = 1
    blocks = F.one_hot(torch.tensor([0, 1])).float().T.view(1, 2, 1, 1, 2)  # features (1, 0) and (0, 1)
    batch = {"labeled": {"image": 20 * label - 10, "label": label}, "unlabeled": None}

    center = DynamicLabeling(Knowing(blocks), coarse_labels="center")(batch)["text"].item()
    share = DynamicLabeling(Knowing(blocks), coarse_labels="share")(batch)["text"].item()

    # text (1, 0) is background's, (0, 1) atrium's; by its center the first block is all atrium
    assert center == pytest.approx(1.0)
    # background: seven parts of the first block, eight of the second; atrium: the first one alone
    background = 1 - 7 / math.hypot(7, 8)
    assert share == pytest.approx((background + 1) / 2, abs=1e-6)


def test_dice_counts_the_background_on_request() -> None:
    network, batch = Twins(heads=0), make_batch()
    label, image = batch["labeled"]["label"][:, 0], batch["labeled"]["image"]
    terms = DynamicLabeling(network, pseudo_labels="soft", include_background=True)(batch)

    students = [student(image).softmax(dim=1).detach() for student in (network.first, network.second)]
    losses = [(dice(p[:, 1], label) + dice(p[:, 0], 1 - label)) / 2 for p in students]
    assert terms["supervised"].item() == pytest.approx(sum(losses), abs=1e-5)
    weights = student_weights(torch.tensor(losses))
    unlabeled = batch["unlabeled"]["image"]
    taught = [student(unlabeled).softmax(dim=1).detach() for student in (network.first, network.second)]
    mixed = weights[0] * taught[0] + weights[1] * taught[1]
    expected = sum(
        (dice(p[:, 1], mixed[:, 1]) + dice(p[:, 0], mixed[:, 0])) / 2 - float((mixed * p.log()).sum(dim=1).mean())
        for p in taught
    )
    assert terms["dynamic"].item() == pytest.approx(expected, abs=1e-5)


def test_pseudo_labels_pass_no_gradient_to_the_students_that_made_them() -> None:
    network, batch = Twins(), make_batch()
    method = DynamicLabeling(network, pseudo_labels="soft")
    students = (network.first, network.second)
    method(batch)["dynamic"].backward()
    found = [student.weight.grad.clone() for student in students]

    losses = torch.stack(
        [method._supervised(s(batch["labeled"]["image"]), batch["labeled"]["label"]) for s in students]
    )
    weights = student_weights(losses.detach())
    logits = [student(batch["unlabeled"]["image"]) for student in students]
    target = sum(w * z.detach().softmax(dim=1) for w, z in zip(weights, logits, strict=True))
    for student, prediction, gradient in zip(students, logits, found, strict=True):
        own = method._dice(prediction, target) + method._entropy(prediction, target)
        torch.testing.assert_close(gradient, *torch.autograd.grad(own, [student.weight]))


def test_without_unlabeled_images_the_dynamic_term_is_zero_and_training_works() -> None:
    method = DynamicLabeling(Twins())
    terms = method(make_batch(2, 0))
    assert terms["dynamic"].item() == 0

    sum(terms.values()).backward()  # type: ignore[union-attr]

    assert all(p.grad is not None and p.grad.isfinite().all() for p in method.parameters())


def test_a_network_without_heads_has_no_text_term() -> None:
    assert DynamicLabeling(Twins(heads=0))(make_batch())["text"].item() == 0


def test_a_partner_makes_it_cross_pseudo_supervision_with_dynamic_labels() -> None:
    twins, batch = Twins(heads=0), make_batch()

    pair = DynamicLabeling(twins.first, twins.second)(batch)

    torch.testing.assert_close(pair, DynamicLabeling(twins)(batch))


def test_alike_students_are_mixed_alike_without_weights() -> None:
    twins, batch = Twins(heads=0), make_batch()
    plain = DynamicLabeling(twins, pseudo_labels="soft", weighted=False)(batch)
    students = [student(batch["unlabeled"]["image"]).softmax(dim=1).detach() for student in (twins.first, twins.second)]
    mixed = (students[0] + students[1]) / 2

    expected = sum(dice(p[:, 1], mixed[:, 1]) - float((mixed * p.log()).sum(dim=1).mean()) for p in students)
    assert plain["dynamic"].item() == pytest.approx(expected, abs=1e-5)


def test_trains_vclipseg_in_every_parameter() -> None:
    torch.manual_seed(0)
    method = DynamicLabeling(VCLIPSeg(channels=4, norm="instance", text_channels=8, dropout=0.0))
    batch = make_batch(1, 1, 32)

    terms = method(batch)
    sum(terms.values()).backward()  # type: ignore[union-attr]

    assert set(terms) == {"supervised", "dynamic", "text"}
    assert all(term.ndim == 0 and term.isfinite() for term in terms.values())
    assert [name for name, p in method.named_parameters() if p.grad is None or not p.grad.isfinite().all()] == []


def test_mixes_the_labels_of_mc_nets_two_decoders() -> None:
    torch.manual_seed(0)
    terms = DynamicLabeling(MCNet(channels=2, norm="instance"))(make_batch(1, 1, 32))

    assert all(term.isfinite() for term in terms.values())
    assert terms["dynamic"].item() > 0
    assert terms["text"].item() == 0


def test_refuses_a_third_student() -> None:
    network = MCNet(channels=2, norm="instance", upsamples=("transposed", "trilinear", "nearest"))

    with pytest.raises(ValueError, match="MCNet shows 3 students, but dynamic labels are mixed from two"):
        DynamicLabeling(network)(make_batch(1, 1, 32))


def test_refuses_an_unknown_kind_of_pseudo_labels() -> None:
    with pytest.raises(ValueError, match=r"one of \('hard', 'soft'\), got 'sharp'"):
        DynamicLabeling(Twins(), pseudo_labels="sharp")


def test_refuses_an_unknown_reading_of_blocks() -> None:
    with pytest.raises(ValueError, match=r"coarse_labels must be one of \('share', 'center', 'corner'\), got 'mean'"):
        DynamicLabeling(Twins(), coarse_labels="mean")


def test_refuses_a_network_with_one_student() -> None:
    with pytest.raises(ValueError, match="Conv3d shows no second student: give a network with outputs"):
        DynamicLabeling(nn.Conv3d(1, 2, 1))
