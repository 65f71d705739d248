from __future__ import annotations

import torch

from fewlabel.networks.cs_unet.token_layers import StochasticDepth


def test_stochastic_depth_drops_whole_images_and_keeps_the_mean() -> None:
    torch.manual_seed(0)
    layer, x = StochasticDepth(0.5), torch.ones(400, 2, 2, 3)
    kept = layer(x)[:, 0, 0, 0]
    assert set(kept.tolist()) == {0.0, 2.0}
    assert 150 < (kept > 0).sum() < 250
    assert torch.equal(layer(x)[:, 0, 0], layer(x)[:, 0, 0]) is False
    assert layer.eval()(x) is x
