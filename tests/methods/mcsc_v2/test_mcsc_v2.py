from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from fewlabel.methods import CertaintyGuidedContrastiveLoss, CrossTeaching, GLCLLoss, MCSCv2, ReCoLoss
from fewlabel.methods.mcsc_v2 import certainty_contrast
from fewlabel.methods.mcsc_v2 import mcsc_v2 as module
from helpers.pixel_networks import build_mcsc_v2, contrast, make_batch, small_swin, small_unet

SMALL = partial(CertaintyGuidedContrastiveLoss, num_anchors=20, num_keys=10, bank_size=40)


def build(**options: Any) -> MCSCv2:
    return build_mcsc_v2(**{"strides": (1, 2), "contrastive_loss": SMALL, **options})


def test_other_terms_are_those_of_cross_teaching() -> None:
    method, batch = build(), make_batch()
    terms, plain = method(batch, 1.0), CrossTeaching(method.cnn, method.transformer)(batch, 1.0)

    assert {name: term.item() for name, term in plain.items()} == {
        name: term.item() for name, term in terms.items() if name != "contrastive"
    }


def test_the_uncertain_share_falls_to_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    shares: list[float] = []

    def note(cnn: Any, transformer: Any, label: Tensor, share: float, cross: bool) -> Any:
        shares.append(share)
        return guidance(cnn, transformer, label, share, cross)

    guidance = module.build_guidance
    monkeypatch.setattr(module, "build_guidance", note)
    method = build(uncertain_fraction=0.2)
    for progress in (0.0, 0.25, 0.5, 1.0):
        method(make_batch(), progress)

    assert shares == pytest.approx([0.2, 0.15, 0.1, 0.0])


@pytest.mark.parametrize("center", ["all", "drawn"])
def test_the_contrast_teaches_both_students_and_the_projectors_and_no_head(center: str) -> None:
    method = build(contrastive_loss=partial(SMALL, center=center))
    contrast(method, make_batch()).backward()

    for parameter in (method.cnn.fine.weight, method.transformer.fine.weight, *method.projectors.parameters()):
        assert parameter.grad is not None
    assert method.cnn.fine.weight.grad.any()
    assert method.transformer.fine.weight.grad.any()
    assert all(p.grad.any() for name, p in method.projectors.named_parameters() if name.endswith("weight"))
    assert method.cnn.head.weight.grad is None
    assert method.transformer.head.weight.grad is None


def test_no_more_pixels_are_projected_than_are_drawn(monkeypatch: pytest.MonkeyPatch) -> None:
    made: list[Any] = []

    class Counted(certainty_contrast.Pixels):
        def __init__(self, *arguments: Any) -> None:
            super().__init__(*arguments)
            made.append(self)

    monkeypatch.setattr(certainty_contrast, "Pixels", Counted)
    drawn = partial(SMALL, center="drawn")
    contrast(build(strides=(1,), contrastive_loss=drawn), make_batch(4, 4, 16))
    contrast(build(strides=(1,), contrastive_loss=SMALL), make_batch(4, 4, 16))

    # of 2 x 8 x 256 pixels at most 4 classes x (20 anchors and 10 keys, a quarter of a bank)
    everything = 2 * 8 * 256
    assert 0 < made[0].projected <= 4 * (20 + 10)
    assert everything < made[1].projected <= everything + 4 * (20 + 10)


def test_with_few_anchors_the_drawn_center_is_the_center_of_all() -> None:
    values = [
        contrast(build(contrastive_loss=partial(SMALL, num_anchors=10**6, center=center)), make_batch()).item()
        for center in ("all", "drawn")
    ]

    assert values[0] == pytest.approx(values[1], rel=1e-5)


def test_a_restored_method_goes_on_bit_for_bit_banks_and_positions_included(tmp_path: Path) -> None:
    method, batch = build(), make_batch()
    for seed in range(6):  # 10 keys a step into 40 places: around the end
        contrast(method, batch, seed=seed)
    torch.save(method.state_dict(), tmp_path / "state.pt")
    restored = build(seed=99)
    restored.load_state_dict(torch.load(tmp_path / "state.pt", weights_only=True))

    bank = restored.contrastive_losses["1"].bank
    assert isinstance(bank.position, Tensor)
    assert bank.filled.max() == 40
    for seed in (7, 8):
        assert torch.equal(contrast(restored, batch, seed=seed), contrast(method, batch, seed=seed))
    mine, theirs = method.state_dict(), restored.state_dict()
    assert all(torch.equal(mine[name], theirs[name]) for name in mine)


def test_keys_outlive_their_batch() -> None:
    method = build(strides=(1,))
    contrast(method, make_batch(2, 2))
    before = contrast(method, make_batch(2, 2), seed=3)
    fresh = contrast(build(strides=(1,)), make_batch(2, 2), seed=3)

    assert not torch.equal(before, fresh)


def test_banks_hold_no_graph_and_move_with_the_method() -> None:
    method = build()
    contrast(method, make_batch()).backward()
    banks = [method.contrastive_losses[stride].bank for stride in ("1", "2")]

    assert all(bank.filled.sum() > 0 for bank in banks)
    assert not any(buffer.requires_grad for bank in banks for buffer in bank.buffers())
    assert {name.split(".")[0] for name, _ in method.named_buffers()} == {"contrastive_losses"}


def test_where_nothing_is_confident_the_contrast_is_zero_and_still_reaches_the_projectors() -> None:
    method, batch = build(sureness=0.0), make_batch()
    value = contrast(method, batch)
    value.backward()

    assert value.item() == 0
    assert all(p.grad is not None and not p.grad.any() for p in method.projectors.parameters())


@pytest.mark.parametrize("share", [0.0, 1.0])
def test_all_unlabeled_pixels_certain_or_none_gives_a_finite_contrast(share: float) -> None:
    method = build(uncertain_fraction=share)

    assert contrast(method, make_batch(), progress=0.0).isfinite()


@pytest.mark.parametrize("other", [ReCoLoss, GLCLLoss])
def test_other_contrasts_take_its_place(other: type) -> None:
    method = build(contrastive_loss=other)
    value = contrast(method, make_batch())
    value.backward()

    assert value.item() > 0
    assert method.cnn.fine.weight.grad.any()
    assert method.transformer.fine.weight.grad.any()
    assert all(p.grad is not None for p in method.projectors.parameters())


def test_by_default_the_settings_are_those_of_the_thesis() -> None:
    method = MCSCv2(small_unet(9), small_swin(9), num_classes=9)
    contrasts = list(method.contrastive_losses.values())

    assert list(method.projectors) == ["1", "8"]
    assert method.uncertain_fraction == 0.2
    for one in contrasts:
        assert (one.certain_rank, one.uncertain_rank) == (1, 7)
        assert (one.threshold, one.num_anchors, one.num_keys, one.temperature) == (0.9, 1000, 500, 0.1)
        assert (one.bank.capacity, one.bank.quota) == (60_000, 15_000)
    # K - 2, but never the second class, which an uncertain pixel may well have
    ranks = {2: 2, 3: 2, 4: 2, 5: 3, 9: 7, 14: 12}
    assert {number: CertaintyGuidedContrastiveLoss(number).uncertain_rank for number in ranks} == ranks
    assert CertaintyGuidedContrastiveLoss(4, certain_rank=3).uncertain_rank == 3
    assert method.projectors["1"].norm_b is None
    assert method.projectors["8"].norm_b is not None


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"strides": ()}, r"at least one scale, and none twice, got \[\]"),
        ({"strides": (1, 1)}, r"none twice, got \[1, 1\]"),
        ({"strides": (1, 16)}, r"PixelNetwork has no feature maps at the strides \[16\]; it has them at \[1, 2\]"),
        ({"num_classes": 1}, "num_classes counts the background too and must be at least 2, got 1"),
        ({"uncertain_fraction": 1.5}, r"uncertain_fraction must be in \[0, 1\], got 1.5"),
        ({"passes": "both"}, "passes must be"),
        (
            {"contrastive_loss": partial(SMALL, uncertain_rank=9)},
            "1 <= certain_rank <= uncertain_rank <= 4 .*, got 1 and 9",
        ),
        (
            {"contrastive_loss": partial(SMALL, num_anchors=0)},
            "num_anchors and num_keys must be at least 1, got 0 and 10",
        ),
        ({"contrastive_loss": partial(SMALL, threshold=1.0)}, r"threshold is a probability in \[0, 1\), got 1.0"),
        ({"contrastive_loss": partial(SMALL, center="mean")}, "center must be one of .*, got 'mean'"),
        ({"contrastive_loss": partial(SMALL, temperature=0.0)}, "temperature must be positive, got 0.0"),
        ({"contrastive_loss": partial(SMALL, bank_size=0)}, "capacity must be at least 1, got .* 0"),
    ],
)
def test_a_setting_out_of_range_is_an_error_that_shows_it(options: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        build(**options)


def test_networks_of_another_number_of_classes_are_an_error() -> None:
    method = build()
    method.num_classes = 3
    with pytest.raises(ValueError, match="num_classes is 3, but the networks have 4 channels of logits"):
        method(make_batch())


def test_training_lowers_the_loss_and_learns_the_picture() -> None:
    torch.manual_seed(0)
    small = partial(CertaintyGuidedContrastiveLoss, num_anchors=100, num_keys=50, bank_size=400)
    method = MCSCv2(small_unet(num_classes=2), small_swin(num_classes=2), 2, contrastive_loss=small)
    optimizer = torch.optim.AdamW(method.parameter_groups(cnn=1e-2, transformer=3e-3, projectors=1e-2))
    image = 0.2 * torch.rand(4, 1, 32, 32)
    for i, (row, column) in enumerate(((4, 4), (12, 8), (8, 12), (14, 2))):  # a bright square on noise
        image[i, :, row : row + 12, column : column + 12] += 0.8
    label = (image > 0.5).long()
    batch = {"labeled": {"image": image[:2], "label": label[:2]}, "unlabeled": {"image": image[2:]}}
    losses = []
    for step in range(20):
        terms = method(batch, step / 20)
        loss = sum(terms.values()) - (1 - 2e-3) * terms["contrastive"]
        optimizer.zero_grad()
        loss.backward()  # type: ignore[union-attr]
        optimizer.step()
        losses.append(loss.item())  # type: ignore[union-attr]

    assert losses[-1] < 0.4 * losses[0]
    method.eval()
    with torch.no_grad():
        agreement = (method.cnn(image[2:]).argmax(1, keepdim=True) == label[2:]).float().mean()
    assert agreement > 0.9
