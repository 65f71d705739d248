from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from monai.losses import LocalNormalizedCrossCorrelationLoss
from torch import Tensor, nn

from fewlabel.conventions.labels import IGNORED
from fewlabel.layers import warp
from fewlabel.losses import anatomy_loss
from fewlabel.methods import DeepAtlas
from fewlabel.methods.deep_atlas import Pairs, draw_pairs
from fewlabel.networks import RegistrationUNet


class Shift(nn.Module):
    """Moves every image by the same pixels."""

    def __init__(self, down: float, right: float) -> None:
        super().__init__()
        self.pixels = nn.Parameter(torch.tensor([down, right]))

    def forward(self, moving: Tensor, fixed: Tensor) -> Tensor:
        return self.pixels.view(1, 2, 1, 1).expand(len(moving), 2, *moving.shape[2:])


def method(registration: nn.Module | None = None) -> DeepAtlas:
    torch.manual_seed(0)
    return DeepAtlas(nn.Conv2d(1, 3, 1), registration or Shift(0.3, -0.4), window=3)


def batch(labeled: int = 2, unlabeled: int = 3) -> dict[str, dict[str, Tensor] | None]:
    torch.manual_seed(1)
    part = {"image": torch.rand(labeled, 1, 8, 8), "label": torch.randint(3, (labeled, 1, 8, 8))}
    return {"labeled": part, "unlabeled": {"image": torch.rand(unlabeled, 1, 8, 8)} if unlabeled else None}


def test_pairs_have_a_label_no_image_twice_and_either_direction() -> None:
    torch.manual_seed(0)
    directions = set()
    for _ in range(50):
        pairs = draw_pairs(3, 4)
        both = list(zip(pairs.moving.tolist(), pairs.fixed.tolist(), strict=True))
        assert pairs.num_labeled == 3
        assert [moving for moving, _ in both[:3]] == [0, 1, 2]
        assert sorted(fixed for _, fixed in both[:3]) == [0, 1, 2]
        assert all(moving != fixed for moving, fixed in both)
        assert [max(pair) for pair in both[3:]] == [3, 4, 5, 6]  # each unlabeled image once
        assert all(min(pair) < 3 for pair in both)
        directions |= {moving < fixed for moving, fixed in both[3:]}
    assert directions == {True, False}


@pytest.mark.parametrize(("labeled", "unlabeled", "pairs"), [(1, 0, 0), (1, 2, 2), (2, 0, 2)])
def test_one_labeled_image_alone_has_no_labeled_partner(labeled: int, unlabeled: int, pairs: int) -> None:
    assert len(draw_pairs(labeled, unlabeled).moving) == pairs


def test_the_terms_are_the_losses_of_the_pairs_one_by_one(monkeypatch: pytest.MonkeyPatch) -> None:
    # labeled images 0 and 1, unlabeled ones 2 and 3
    pairs = [(0, 1), (1, 0), (0, 2), (3, 1)]
    drawn = Pairs(*(torch.tensor(side) for side in zip(*pairs, strict=True)), num_labeled=2)
    monkeypatch.setattr("fewlabel.methods.deep_atlas.draw_pairs", lambda labeled, unlabeled: drawn)
    atlas, data = method(), batch(2, 2)
    terms = atlas(data)
    images = torch.cat([data["labeled"]["image"], data["unlabeled"]["image"]])
    known = F.one_hot(data["labeled"]["label"][:, 0], 3).movedim(-1, 1).float()
    shown = torch.cat([known, atlas.network(images[2:]).softmax(dim=1)]).detach()
    field = atlas.registration(images[:1], images[:1]).detach()
    warped = torch.cat([warp(shown[moving : moving + 1], field) for moving, _ in pairs])
    targets = torch.stack([shown[fixed] for _, fixed in pairs])
    torch.testing.assert_close(terms["anatomy_registration"], anatomy_loss(warped, targets))
    torch.testing.assert_close(terms["anatomy_segmentation"], anatomy_loss(warped[2:], targets[2:]))
    moved = torch.cat([warp(images[moving : moving + 1], field) for moving, _ in pairs])
    similarity = LocalNormalizedCrossCorrelationLoss(spatial_dims=2, kernel_size=3)
    torch.testing.assert_close(
        terms["similarity"], similarity(moved, torch.stack([images[fixed] for _, fixed in pairs]))
    )
    assert float(terms["bending"]) == pytest.approx(0, abs=1e-9)  # of a shift


def test_each_term_teaches_the_network_it_names_and_no_other() -> None:
    registration = RegistrationUNet(channels=(4, 4), out_channels=4, final_channels=(4,))
    for parameter in registration.parameters():
        nn.init.normal_(parameter, std=0.1)
    atlas, data = method(registration), batch()
    teaches = {}
    for name in atlas(data):
        atlas.zero_grad(set_to_none=True)
        atlas(data)[name].backward()
        teaches[name] = {
            part: any(p.grad is not None and bool(p.grad.any()) for p in getattr(atlas, part).parameters())
            for part in ("network", "registration")
        }
    segmentation = {"network": True, "registration": False}
    moving = {"network": False, "registration": True}
    assert teaches == {
        "supervised": segmentation,
        "anatomy_segmentation": segmentation,
        "similarity": moving,
        "bending": moving,
        "anatomy_registration": moving,
    }


def test_anatomy_that_a_shift_explains_is_similar_after_that_shift_alone() -> None:
    label = torch.zeros(2, 1, 16, 16, dtype=torch.long)
    label[0, :, 4:8, 4:8] = 1
    label[1, :, 7:11, 6:10] = 1
    part = {"image": label.float(), "label": label}
    losses = []
    for down, right in ((0.0, 0.0), (-3.0, -2.0)):
        torch.manual_seed(0)
        # of the two pairs, forth and back, the shift explains the one that moves image 0
        losses.append(float(method(Shift(down, right))({"labeled": part, "unlabeled": None})["anatomy_registration"]))
    assert losses[1] < losses[0]
    alone = warp(part["image"][:1], torch.tensor([-3.0, -2.0]).view(1, 2, 1, 1).expand(1, 2, 16, 16))
    torch.testing.assert_close(alone, part["image"][1:], atol=1e-5, rtol=0)


def test_pixels_that_nobody_annotated_do_not_count_on_either_side() -> None:
    atlas, data = method(Shift(1.0, 0.0)), batch(2, 0)
    label = data["labeled"]["label"]
    label[0, :, 3:5] = IGNORED
    one_hot = F.one_hot(label.clamp(min=0)[:, 0], 3).movedim(-1, 1).float()
    counted = torch.ones(2, 1, 8, 8)
    counted[0, :, 2:4] = 0  # image 0 moves, and each of its pixels shows the one below
    counted[1, :, 3:5] = 0  # image 0 is fixed
    field = atlas.registration(label, label).detach()
    expected = anatomy_loss(warp(one_hot, field), one_hot[[1, 0]], counted)
    torch.testing.assert_close(atlas(data)["anatomy_registration"], expected, atol=1e-5, rtol=0)


def test_without_a_pair_only_labels_teach() -> None:
    terms = method()(batch(1, 0))
    assert [name for name, term in terms.items() if float(term) != 0] == ["supervised"]
    assert float(method()(batch(2, 0))["anatomy_segmentation"]) == 0


@pytest.mark.parametrize("window", [1, 4])
def test_a_window_without_a_middle_is_an_error(window: int) -> None:
    with pytest.raises(ValueError, match=f"odd and at least 3, got {window}"):
        DeepAtlas(nn.Conv2d(1, 3, 1), Shift(0.0, 0.0), window)
