from __future__ import annotations

import pytest
import torch

from fewlabel.layers import drop_attended, feature_dropout, feature_noise


def test_noise_changes_each_feature_by_at_most_its_share() -> None:
    torch.manual_seed(0)
    maps = torch.randn(2, 3, 16, 16)
    change = feature_noise(maps, 0.3) / maps - 1
    assert float(change.abs().max()) <= 0.3 + 1e-5
    assert float(change.std()) == pytest.approx(0.3 / 3**0.5, rel=0.05)  # of a uniform distribution
    assert torch.equal(feature_noise(maps, 0.0), maps)


def test_dropout_removes_its_share_and_keeps_the_mean() -> None:
    torch.manual_seed(0)
    dropped = feature_dropout(torch.ones(4, 4, 32, 32), 0.3)
    assert dropped.unique().tolist() == pytest.approx([0.0, 1 / 0.7])
    assert float((dropped == 0).float().mean()) == pytest.approx(0.3, abs=0.02)


def test_what_attends_at_or_above_the_threshold_is_removed_in_all_channels_and_nothing_else() -> None:
    torch.manual_seed(0)
    maps = torch.rand(3, 4, 5, 5)
    share = 0.8
    expected = maps.clone()
    for image in expected:
        means = {(i, j): float(image[:, i, j].mean()) for i in range(5) for j in range(5)}
        for (i, j), mean in means.items():
            if mean >= share * max(means.values()):
                image[:, i, j] = 0
    assert torch.equal(drop_attended(maps, share, share), expected)
    assert 0 < int((expected == 0).sum()) < expected.numel()


def test_each_image_has_a_threshold_between_the_two_and_its_own_maximum() -> None:
    torch.manual_seed(0)
    ramp = torch.linspace(0, 1, 1001).expand(64, 1, 1001)
    maps = ramp * torch.arange(1, 65).view(-1, 1, 1)  # images that differ in scale alone
    shares = (drop_attended(maps) != 0).sum(dim=2).flatten() / 1000
    assert 0.7 <= float(shares.min()) < 0.72
    assert 0.88 < float(shares.max()) <= 0.9


@pytest.mark.parametrize("perturb", [feature_noise, feature_dropout, drop_attended])
def test_a_seed_decides_and_gradients_pass_where_features_stay(perturb) -> None:  # type: ignore[no-untyped-def]
    maps = torch.rand(2, 3, 4, 4, requires_grad=True)
    torch.manual_seed(1)
    first = perturb(maps)
    torch.manual_seed(1)
    assert torch.equal(perturb(maps), first)
    first.sum().backward()
    torch.testing.assert_close(maps.grad, first.detach() / maps.detach())  # each factor, 0 where features are dropped
