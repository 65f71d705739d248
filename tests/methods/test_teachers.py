"""Methods whose student follows an averaged teacher, or another student."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from fewlabel.engines import SemiSupervisedTrainer
from fewlabel.losses import supervised_loss
from fewlabel.methods import (
    CertaintyContrast,
    CertaintyGuidedContrastiveLoss,
    CrossPseudoSupervision,
    InterpolationConsistency,
    MeanTeacher,
    UncertaintyAwareMeanTeacher,
)
from fewlabel.methods.base import Method
from fewlabel.mixing import cut_mix
from helpers.pixel_networks import OneClass, PixelNetwork, make_batch


class Pixels(nn.Module):
    """Logits of single pixels; dropout, which a teacher in training mode varies by, where asked for."""

    def __init__(self, dropout: float = 0.0, num_classes: int = 4) -> None:
        super().__init__()
        self.layers = nn.Sequential(nn.Conv2d(1, 6, 1), nn.Tanh(), nn.Dropout(dropout), nn.Conv2d(6, num_classes, 1))

    def forward(self, x: Tensor) -> Tensor:
        logits: Tensor = self.layers(x)
        return logits


def mean_teacher(**options: Any) -> MeanTeacher:
    torch.manual_seed(0)
    return MeanTeacher(Pixels(), **options)


def uamt(dropout: float = 0.0, num_classes: int = 4, **options: Any) -> UncertaintyAwareMeanTeacher:
    torch.manual_seed(0)
    return UncertaintyAwareMeanTeacher(Pixels(dropout, num_classes), **options)


def cps(**options: Any) -> CrossPseudoSupervision:
    torch.manual_seed(0)
    return CrossPseudoSupervision(Pixels(), Pixels(), **options)


def ict(**options: Any) -> InterpolationConsistency:
    torch.manual_seed(0)
    return InterpolationConsistency(Pixels(), **options)


BUILDERS = {"mean_teacher": mean_teacher, "uamt": uamt, "cps": cps}


@pytest.mark.parametrize("name", BUILDERS)
@pytest.mark.parametrize("unlabeled", [0, 1, 3])
def test_terms_keep_their_names_and_the_supervised_one_sees_the_labeled_images(name: str, unlabeled: int) -> None:
    method = BUILDERS[name]()
    batch = make_batch(2, unlabeled)
    terms = method(batch, 1.0)
    other = "cross" if name == "cps" else "consistency"
    assert list(terms) == ["supervised", other]
    assert (terms[other] == 0) == (unlabeled == 0)
    students = [method.network] if name != "cps" else [method.network, method.second_network]
    losses = [supervised_loss()(student(batch["labeled"]["image"]), batch["labeled"]["label"]) for student in students]
    torch.testing.assert_close(terms["supervised"], torch.stack(losses).sum())


@pytest.mark.parametrize("build", [mean_teacher, uamt, ict])
def test_the_teacher_has_no_gradient_and_averages_its_student_in_closed_form(build: Callable[..., Any]) -> None:
    method = build(decay=0.6)
    start = [parameter.detach().clone() for parameter in method.network.parameters()]
    batch = make_batch(2, 2)
    seen: list[list[Tensor]] = []

    def note(*_: Any) -> None:
        seen.append([parameter.detach().clone() for parameter in method.network.parameters()])

    optimizer = torch.optim.SGD(method.parameter_groups(network=0.1))
    optimizer.register_step_post_hook(note)
    SemiSupervisedTrainer("cpu", 1, [batch] * 3, method, optimizer, {"supervised": 1.0, "consistency": 1.0}).run()
    assert all(parameter.grad is None for parameter in method.teacher.parameters())
    # alpha = 1/2, then 0.6 twice
    expected = [
        0.36 * (old + one) / 2 + 0.6 * 0.4 * two + 0.4 * three
        for old, one, two, three in zip(start, *seen, strict=True)
    ]
    for found, value in zip(method.teacher.network.parameters(), expected, strict=True):
        torch.testing.assert_close(found, value)


@pytest.mark.parametrize("mixing", ["none", "cut_mix"])
def test_a_mean_teacher_equals_its_literal_formula(mixing: str) -> None:
    method = mean_teacher(noise=0.5, noise_limit=0.1, mixing=mixing)
    with torch.no_grad():
        next(iter(method.network.parameters())).add_(0.5)  # student and teacher differ
    batch = make_batch(2, 3)
    torch.manual_seed(7)
    term = method(batch, 0.5)["consistency"]
    torch.manual_seed(7)
    image = batch["unlabeled"]["image"]
    boxes = boxes_like(image, mixing)
    noise = (0.5 * torch.randn(image.shape)).clamp(-0.1, 0.1)
    student = method.network(with_boxes_of_the_next(image, boxes)).softmax(1)
    teacher = with_boxes_of_the_next(method.teacher.network(image + noise).softmax(1), boxes)
    torch.testing.assert_close(term, ((student - teacher) ** 2).mean())


def boxes_like(images: Tensor, mixing: str) -> Tensor:
    """Where each image shows the next one, (B, 1, H, W) bool."""
    if mixing == "none":
        return torch.zeros_like(images, dtype=torch.bool)
    boxes = ~cut_mix(len(images), tuple(images.shape[2:])).mask
    assert boxes.any()
    return boxes


def with_boxes_of_the_next(values: Tensor, boxes: Tensor) -> Tensor:
    mixed = values.clone()
    for number, row, column in boxes[:, 0].nonzero().tolist():
        mixed[number, :, row, column] = values[(number + 1) % len(values), :, row, column]
    return mixed


def test_a_mean_teacher_is_silent_in_the_warm_up_and_where_it_equals_its_student() -> None:
    assert mean_teacher(warmup=0.5)(make_batch(), 0.49)["consistency"] == 0
    assert mean_teacher(warmup=0.5)(make_batch(), 0.5)["consistency"] > 0
    assert mean_teacher(noise=0.0)(make_batch(), 0.5)["consistency"] == 0


@pytest.mark.parametrize("build", [mean_teacher, ict])
@pytest.mark.parametrize("mode", ["train", "eval"])
def test_the_teachers_mode_is_the_methods_choice(build: Callable[..., Any], mode: str) -> None:
    method = build(teacher_mode=mode).train()
    assert method.network.training
    assert method.teacher.network.training == (mode == "train")


@pytest.mark.parametrize("mixing", ["none", "cut_mix"])
@pytest.mark.parametrize("two_classes", [False, True])
@pytest.mark.parametrize("progress", [0.0, 0.4, 1.0])
def test_uamt_equals_its_literal_formula(two_classes: bool, progress: float, mixing: str) -> None:
    method = uamt(dropout=0.4, two_classes=two_classes, passes=3, mixing=mixing)
    with torch.no_grad():
        for parameter in method.network.parameters():
            parameter.mul_(1.5)
        for parameter in method.teacher.parameters():
            parameter.mul_(3.0)  # some pixels are sure, some are not
    method.network.layers[2].p = 0.0
    batch = make_batch(1, 2)
    image = batch["unlabeled"]["image"]
    torch.manual_seed(7)
    term = method(batch, progress)["consistency"]
    torch.manual_seed(7)
    boxes = boxes_like(image, mixing)
    noisy = lambda: image + (0.1 * torch.randn(image.shape)).clamp(-0.2, 0.2)  # noqa: E731  drawn as the method does
    target = with_boxes_of_the_next(method.teacher.network(noisy()).softmax(1), boxes)
    mean = sum(method.teacher.network(noisy()).softmax(1) for _ in range(3)) / 3
    classes = 2 if two_classes else 4
    threshold = (0.75 + 0.25 * math.exp(-5 * (1 - progress) ** 2)) * math.log(classes)
    student = method.network(with_boxes_of_the_next(image, boxes)).softmax(1)
    total, count = 0.0, 0
    for number, row, column in torch.cartesian_prod(torch.arange(2), torch.arange(8), torch.arange(8)).tolist():
        origin = (number + 1) % 2 if boxes[number, 0, row, column] else number
        probabilities = mean[origin, :, row, column]
        if float(-(probabilities * probabilities.log()).sum()) < threshold:
            total += float(((student - target)[number, :, row, column] ** 2).sum())
            count += 1
    assert count > 0
    assert term.item() == pytest.approx(total / (classes * count), rel=1e-4)


def test_an_entropy_of_two_classes_leaves_pixels_between_three_out_for_ever_and_the_paper_s_reading_does_not() -> None:
    batch = make_batch(1, 1)
    for two_classes in (False, True):
        method = uamt(two_classes=two_classes, noise=0.0)
        with torch.no_grad():
            for module in (method.network, method.teacher.network):
                module.layers[3].weight.zero_()
                module.layers[3].bias.copy_(torch.tensor([0.0, 0.0, 0.0, -100.0]))  # log 3, above log 2
            method.network.layers[3].bias[0] += 1.0
        assert (method(batch, 1.0)["consistency"] == 0) == two_classes


def test_cps_of_equal_networks_is_self_training() -> None:
    method = cps()
    method.second_network.load_state_dict(method.network.state_dict())
    batch = make_batch(2, 3)
    logits = method.network(batch["unlabeled"]["image"])
    own = nn.functional.cross_entropy(logits, logits.argmax(dim=1))
    torch.testing.assert_close(method(batch)["cross"], 2 * own)


def test_cps_of_networks_sure_of_different_classes_contradict_each_other() -> None:
    method = CrossPseudoSupervision(OneClassLogits(1), OneClassLogits(2))
    assert method(make_batch(num_classes=3))["cross"].item() == pytest.approx(2 * 200.0)


class OneClassLogits(OneClass):
    def forward(self, x: Tensor) -> Tensor:
        return self.features(x)[1]


def test_cps_sends_a_gradient_to_each_network_from_its_own_logits_alone() -> None:
    method = cps()
    batch = make_batch(2, 2)
    method(batch)["cross"].backward()
    image = batch["unlabeled"]["image"]
    one, other = method.network(image), method.second_network(image)
    for network, logits, labels in (
        (method.network, one, other.argmax(dim=1)),
        (method.second_network, other, one.argmax(dim=1)),
    ):
        expected = torch.autograd.grad(nn.functional.cross_entropy(logits, labels), [*network.parameters()])
        torch.testing.assert_close([parameter.grad for parameter in network.parameters()], list(expected))


def test_cps_teaches_labeled_images_where_asked_for() -> None:
    batch = make_batch(2, 0)
    assert cps()(batch)["cross"] == 0
    assert cps(teach_labeled=True)(batch)["cross"] > 0


def with_contrast(kind: type[Method]) -> Method:
    torch.manual_seed(0)
    first, second = PixelNetworks(3), PixelNetworks(4)
    loss = CertaintyGuidedContrastiveLoss
    if kind is MeanTeacher:
        return MeanTeacher(first, contrast=CertaintyContrast(first, first, strides=(1, 2), contrastive_loss=loss))
    contrast = CertaintyContrast(first, second, strides=(1, 2), contrastive_loss=loss)
    return CrossPseudoSupervision(first, second, contrast=contrast)


class PixelNetworks(PixelNetwork):
    def forward(self, x: Tensor) -> Tensor:
        logits: Tensor = self.head(self.features(x)[1])
        return logits


@pytest.mark.parametrize("kind", [MeanTeacher, CrossPseudoSupervision])
@pytest.mark.parametrize("unlabeled", [0, 2])
def test_mcsc_v2s_contrast_can_be_added_and_trains_projectors_and_students_alone(
    kind: type[Method], unlabeled: int
) -> None:
    method = with_contrast(kind)
    with torch.no_grad():
        for name, parameter in method.named_parameters():
            if "head" in name:
                parameter.mul_(60.0)  # sure enough for anchors
    terms = method(make_batch(2, unlabeled, 16), 0.5)
    assert list(terms)[-1] == "contrastive"
    assert terms["contrastive"] > 0
    terms["contrastive"].backward()
    assert all(parameter.grad is not None for parameter in method.contrast.parameters())
    assert method.network.fine.weight.grad.any()
    if kind is MeanTeacher:
        assert all(parameter.grad is None for parameter in method.teacher.parameters())
    else:
        assert method.second_network.fine.weight.grad.any()
    rates = dict.fromkeys(("network", "contrast", *(["second_network"] if kind is not MeanTeacher else [])), 0.1)
    assert {group["name"] for group in method.parameter_groups(**rates)} == set(rates)


@pytest.mark.parametrize(
    ("build", "options", "message"),
    [
        (mean_teacher, {"warmup": 2.0}, "warmup is a share"),
        (mean_teacher, {"noise": -1.0}, "noise and noise_limit must be 0 or more"),
        (mean_teacher, {"decay": 1.0}, r"decay must be in \[0, 1\)"),
        (mean_teacher, {"mixing": "copy_paste"}, "mixing must be one of"),
        (mean_teacher, {"mixing": "cut_mix", "contrast": nn.Identity()}, "contrast compares both networks pixel by"),
        (uamt, {"mixing": "mixup"}, "mixing must be one of"),
        (uamt, {"passes": 0}, "passes must be at least 1"),
        (uamt, {"noise_limit": -1.0}, "noise and noise_limit"),
    ],
)
def test_options_out_of_range_are_errors(build: Any, options: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        build(**options)
