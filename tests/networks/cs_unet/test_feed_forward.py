from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from fewlabel.networks.cs_unet.feed_forward import FEED_FORWARDS, feed_forward


def module(kind: str, dim: int = 8, norm: str = "layer") -> torch.nn.Module:
    torch.manual_seed(0)
    return feed_forward(kind, dim, drop_path=0.0, layer_scale=0.7, norm=norm).double()


def tokens(dim: int = 8) -> Tensor:
    return torch.randn(2, 5, 6, dim, dtype=torch.float64, generator=torch.Generator().manual_seed(1))


def test_the_depthwise_one_is_its_formula_written_out() -> None:
    layer, x = module("depthwise"), tokens()
    conv, norm, first, _, second = layer.layers  # type: ignore[misc, union-attr]
    expected = x.clone()
    for b in range(2):
        for i in range(5):
            for j in range(6):
                near = conv.conv.bias.clone()
                for a in range(-3, 4):
                    for c in range(-3, 4):
                        if 0 <= i + a < 5 and 0 <= j + c < 6:
                            near = near + conv.conv.weight[:, 0, a + 3, c + 3] * x[b, i + a, j + c]
                hidden = F.layer_norm(near, (8,), norm.weight, norm.bias, 1e-6)
                hidden = second.weight @ F.gelu(first.weight @ hidden + first.bias) + second.bias
                expected[b, i, j] += 0.7 * hidden
    torch.testing.assert_close(layer(x), expected)


@pytest.mark.parametrize("kind", FEED_FORWARDS)
def test_each_keeps_the_shape_and_trains_all_its_parameters(kind: str) -> None:
    layer, x = module(kind), tokens()
    y = layer(x)
    assert y.shape == x.shape
    y.square().sum().backward()
    assert all(p.grad is not None and p.grad.abs().sum() > 0 for p in layer.parameters())


@pytest.mark.parametrize(
    ("kind", "count"),
    [
        ("depthwise", lambda d: 49 * d + d + 2 * d + 4 * d * (d + 1) + d * (4 * d + 1) + d),
        ("linear", lambda d: 2 * d + 4 * d * (d + 1) + d * (4 * d + 1)),
        ("convolution", lambda d: 9 * d * d + 2 * d),
        ("residual", lambda d: 2 * (9 * d * d + 2 * d)),
        ("preactivation", lambda d: 2 * (9 * d * d + 2 * d)),
        ("resnext", lambda d: 2 * d * (d // 2) + 9 * (d // 2) ** 2 // 32 + 2 * (d // 2 + d // 2 + d)),
    ],
)
def test_parameters_are_those_of_the_convolutions_and_norms(kind: str, count: object) -> None:
    assert sum(p.numel() for p in module(kind, 64).parameters()) == count(64)  # type: ignore[operator]


@pytest.mark.parametrize("kind", ["convolution", "residual", "preactivation", "resnext"])
def test_the_blocks_it_was_compared_with_have_a_residual_connection(kind: str) -> None:
    layer, x = module(kind), tokens().abs()  # the activation after a sum leaves positive tokens alone
    for parameter in layer.parameters():
        torch.nn.init.zeros_(parameter)
    torch.testing.assert_close(layer(x), x)


def test_batch_normalization_may_take_the_place_of_layer_norm() -> None:
    layer = module("depthwise", norm="batch")
    assert [type(m).__name__ for m in layer.modules() if "Norm" in type(m).__name__] == [
        "TokenBatchNorm",
        "BatchNorm2d",
    ]
    normed = layer.layers[1](tokens())  # type: ignore[index, operator]
    torch.testing.assert_close(normed.mean((0, 1, 2)), torch.zeros(8, dtype=torch.float64), atol=1e-6, rtol=0)


def test_without_layer_scale_the_branch_counts_in_full() -> None:
    scaled = module("depthwise")
    plain = feed_forward("depthwise", 8, 0.0, None, "layer").double()
    plain.load_state_dict({name: value for name, value in scaled.state_dict().items() if name != "scale"})
    x = tokens()
    torch.testing.assert_close(scaled(x) - x, 0.7 * (plain(x) - x))
