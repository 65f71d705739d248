from __future__ import annotations

import math
from collections import defaultdict
from typing import Any

import pytest
import torch
from torch import Tensor

from fewlabel.methods import CertaintyGuidedContrastiveLoss, MCSCv2
from fewlabel.methods.mcsc_v2 import certainty_guided
from fewlabel.methods.mcsc_v2.pixels import Guidance, Pixels
from fewlabel.networks import ContrastProjector
from fewlabel.sampling import class_bank
from helpers.pixel_networks import build_mcsc_v2, contrast, make_batch

CLASSES = 3
ALL = {"num_anchors": 10**6, "num_keys": 10**6, "bank_size": 10**4, "bank_fraction": 1.0}


class Ring:
    """A bank of one class: places that are filled one after the other, then over again from the first."""

    def __init__(self) -> None:
        self.places: list[tuple[Tensor, int]] = []
        self.turn = 0

    def store(self, key: tuple[Tensor, int], size: int) -> None:
        if len(self.places) < size:
            self.places.append(key)
        else:
            self.places[self.turn] = key
            self.turn = (self.turn + 1) % size


class Memory:
    """The banks by stride and class, as the thesis has them."""

    def __init__(self) -> None:
        self.rings: dict[tuple[int, int], Ring] = defaultdict(Ring)


def oracle(  # noqa: C901 - one literal reading of the section, from top to bottom
    method: MCSCv2, batch: dict[str, Any], progress: float, memory: Memory, **switches: Any
) -> Tensor:
    """Thesis section 5.3.2, pixel by pixel and anchor by anchor, from the whole projected maps; a draw takes the first.

    N anchors, M keys, banks of ``size`` keys of which a step replaces ``quota``.
    """
    on = {"include_background": True, "balanced": True, "certain_anchors": True, "ranked_negatives": True, "bank": True}
    on |= {"cross": True, "low": 1, "high": 2, "h": 0.9, "N": 10**6, "M": 10**6, "size": 10**4, "quota": 10**4}
    on |= switches
    parts = [batch["labeled"]["image"]] + ([batch["unlabeled"]["image"]] if batch["unlabeled"] else [])
    images, truth = torch.cat(parts), batch["labeled"]["label"]
    students = [method.cnn, method.transformer]
    maps = [student.features(images) for student in students]
    seen = [s.head(f[1]).detach().softmax(dim=1) for s, f in zip(students, maps, strict=True)]
    entropies = sorted(
        -sum(p * math.log(p) for p in seen[s][image, :, row, column].tolist() if p > 0)
        for s in range(2)
        for image in range(len(truth), len(images))
        for row in range(images.shape[-2])
        for column in range(images.shape[-1])
    )
    beta = method.uncertain_fraction * (1 - progress)
    sure = len(entropies) - math.floor(beta * len(entropies) + 1e-9)
    gamma = entropies[sure - 1] if sure else -1.0  # eq. 5.1 and the quantile below it
    total = torch.zeros((), dtype=torch.float64)
    for stride in (int(name) for name in method.projectors):
        projected = method.projectors[str(stride)](maps[0][stride], maps[1][stride])
        pixels = []  # of both networks together: vector, probabilities, class, labeled, certain
        for student in range(2):
            for image in range(len(images)):
                for row in range(projected[0].shape[-2]):
                    for column in range(projected[0].shape[-1]):
                        fine = (row * stride + stride // 2, column * stride + stride // 2)
                        p = seen[1 - student if on["cross"] else student][image, :, fine[0], fine[1]].tolist()
                        labeled = image < len(truth)
                        y = int(truth[image, 0][fine]) if labeled else p.index(max(p))
                        certain = -sum(q * math.log(q) for q in p if q > 0) <= gamma + 1e-9
                        pixels.append((projected[student][image, :, row, column], p, y, labeled, certain))
        losses = []
        for c in range(CLASSES):
            anchors = [
                v
                for v, p, y, labeled, certain in pixels
                if y == c and (not on["certain_anchors"] or (max(p) > on["h"] and (labeled or certain)))
            ]
            fresh = []
            for v, p, y, labeled, certain in pixels:
                place = sum(q > p[c] for q in p)  # O_i(c)
                if not on["ranked_negatives"]:
                    negative = y != c
                elif labeled:
                    negative = y != c and 0 <= place < on["low"]
                else:
                    negative = (not certain and place >= on["high"]) or (certain and place >= on["low"])
                if negative:
                    fresh.append((v.detach().half().double() if on["bank"] else v.detach().double(), y))
            for key in fresh[: on["quota"]] if on["bank"] else []:
                memory.rings[stride, c].store(key, on["size"])
            keys = (memory.rings[stride, c].places if on["bank"] else fresh)[: on["M"]]
            if not anchors or not keys or (c == 0 and not on["include_background"]):
                continue
            center = torch.stack(anchors).double().mean(dim=0)
            center = center / center.norm()
            anchor_losses = []
            for a in (a.double() for a in anchors[: on["N"]]):
                z = torch.zeros((), dtype=torch.float64)
                for j in set(range(CLASSES)) - {c}:
                    similar = [(a @ key / 0.1).exp() for key, y in keys if y == j]
                    if similar:
                        z = z + (sum(similar) / len(similar) if on["balanced"] else sum(similar))
                top = (a @ center / 0.1).exp()
                anchor_losses.append(-(top / (top + z)).log())
            losses.append(sum(anchor_losses) / len(anchor_losses))
        if losses:
            total = total + sum(losses) / CLASSES
    return total


def build(
    strides: tuple[int, ...] = (1,), uncertain_fraction: float = 0.4, cross: bool = True, **options: Any
) -> MCSCv2:
    def make(num_classes: int) -> CertaintyGuidedContrastiveLoss:
        return CertaintyGuidedContrastiveLoss(num_classes, **{**ALL, **options})

    return build_mcsc_v2(
        num_classes=CLASSES,
        strides=strides,
        contrastive_loss=make,
        uncertain_fraction=uncertain_fraction,
        cross_labels=cross,
    )


@pytest.mark.parametrize(
    ("strides", "progress", "switches"),
    [
        ((1,), 0.0, {}),
        ((1,), 0.5, {}),
        ((1,), 1.0, {}),
        ((2, 1), 0.25, {}),
        ((1,), 0.0, {"cross": False}),
        ((1,), 0.0, {"include_background": False}),
        ((1,), 0.0, {"balanced": False}),
        ((1,), 0.0, {"certain_anchors": False}),
        ((1,), 0.0, {"ranked_negatives": False}),
        ((1,), 0.0, {"bank": False}),
        ((1,), 0.0, {"low": 2, "high": 2}),
        ((1,), 0.0, {"high": 1}),
        ((1,), 0.0, {"high": 3, "h": 0.5}),
    ],
)
def test_two_steps_of_the_contrast_and_their_gradient_equal_the_literal_algorithm(
    strides: tuple[int, ...], progress: float, switches: dict[str, Any]
) -> None:
    renamed = {"low": "certain_rank", "high": "uncertain_rank", "h": "threshold"}
    options = {renamed.get(name, name): value for name, value in switches.items() if name not in ("cross", "bank")}
    if not switches.get("bank", True):
        options["bank_size"] = None
    method = build(strides, cross=switches.get("cross", True), **options)
    memory = Memory()
    parameters = list(method.parameters())
    for batch in (make_batch(1, 1, 4, CLASSES), make_batch(1, 2, 4, CLASSES)):  # the second meets the first's keys
        expected = oracle(method, batch, progress, memory, **switches)
        slopes = torch.autograd.grad(expected, parameters, allow_unused=True)
        value = contrast(method, batch, progress)

        assert expected.item() > 0
        assert value.item() == pytest.approx(expected.item(), rel=1e-4)
        for ours, theirs in zip(torch.autograd.grad(value, parameters, allow_unused=True), slopes, strict=True):
            if theirs is None:
                assert ours is None or not ours.any()
            else:
                torch.testing.assert_close(ours, theirs.to(ours.dtype), rtol=1e-3, atol=1e-4)


def first(mask: Tensor, count: int) -> Tensor:
    return mask.nonzero()[:count, 0]


@pytest.mark.parametrize("bank", [True, False])
def test_steps_around_the_end_of_small_banks_equal_the_literal_algorithm(
    bank: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(certainty_guided, "sample_mask", first)
    monkeypatch.setattr(
        class_bank, "sample_indices", lambda population, count, *_: torch.arange(min(population, count))
    )
    # a step offers some 30 keys to a class; 7 places take 3 of them a step, and 5 of the places are compared with
    method, memory = build(num_anchors=4, num_keys=5, bank_size=7 if bank else None, bank_fraction=0.5), Memory()
    for step in range(4):
        batch = make_batch(1, 1 + step % 2, 4, CLASSES)
        expected = oracle(method, batch, step / 4, memory, N=4, M=5, size=7, quota=3, bank=bank)
        assert contrast(method, batch, step / 4).item() == pytest.approx(expected.item(), rel=1e-4)
    if bank:
        stored = method.contrastive_losses["1"].bank
        assert stored.filled.tolist() == [7] * CLASSES
        for number in range(CLASSES):
            ring = memory.rings[1, number]
            assert stored.position[number] == ring.turn > 0
            assert stored.labels[number].tolist() == [y for _, y in ring.places]


def test_with_all_unlabeled_pixels_uncertain_the_contrast_equals_the_literal_algorithm() -> None:
    method, batch = build(uncertain_fraction=1.0), make_batch(1, 2, 4, CLASSES)
    expected = oracle(method, batch, 0.0, Memory())

    assert contrast(method, batch, 0.0).item() == pytest.approx(expected.item(), rel=1e-4)
    assert 0 < expected.item() != oracle(method, batch, 1.0, Memory()).item()


def test_where_nothing_is_mistaken_the_banks_stay_empty_and_the_contrast_is_zero_with_a_graph() -> None:
    labels = torch.randint(CLASSES, (2, 4, 4), generator=torch.Generator().manual_seed(0))
    known = torch.ones_like(labels, dtype=torch.bool)
    probabilities = torch.full((2, CLASSES, 4, 4), 0.02).scatter(1, labels[:, None], 0.96)
    maps = [torch.randn(1, channels, 4, 4, requires_grad=True) for channels in (5, 6)]
    pixels = Pixels(*maps, ContrastProjector(5, 6, 8, 7), Guidance(probabilities, labels, known, known))
    contrasted = CertaintyGuidedContrastiveLoss(CLASSES, channels=7, **ALL)
    value = contrasted(pixels)
    value.backward()

    assert contrasted._anchor_sets(pixels).any(dim=0).all()
    assert contrasted.bank.filled.tolist() == [0] * CLASSES
    assert value.item() == 0
    assert all(part.grad is not None and not part.grad.any() for part in maps)


def test_the_switches_matter_in_these_tests() -> None:
    batch = make_batch(1, 2, 4, CLASSES)
    values = {
        contrast(build(**options), batch, 0.0).item()
        for options in (
            {}, {"cross": False}, {"include_background": False}, {"balanced": False}, {"certain_anchors": False},
            {"ranked_negatives": False}, {"threshold": 0.5}, {"certain_rank": 2, "uncertain_rank": 2},
            {"uncertain_rank": 1}, {"uncertain_rank": 3}, {"uncertain_fraction": 0.95}, {"strides": (2,)},
        )
    }  # fmt: skip

    assert len(values) == 12


def test_without_unlabeled_images_the_contrast_is_that_of_the_labeled_ones() -> None:
    method, batch = build(), make_batch(2, 0, 4, CLASSES)

    assert contrast(method, batch, 0.0).item() == pytest.approx(oracle(method, batch, 0.0, Memory()).item(), rel=1e-4)


@pytest.mark.parametrize("missing", range(CLASSES))
def test_a_class_that_is_absent_adds_nothing_and_the_sum_is_still_divided_by_all(missing: int) -> None:
    method, batch = build(certain_anchors=False, ranked_negatives=False), make_batch(2, 0, 4, CLASSES)
    label = batch["labeled"]["label"]
    label[label == missing] = (missing + 1) % CLASSES

    value = contrast(method, batch, 0.0)

    assert value.item() == pytest.approx(
        oracle(method, batch, 0.0, Memory(), certain_anchors=False, ranked_negatives=False).item(), rel=1e-4
    )
