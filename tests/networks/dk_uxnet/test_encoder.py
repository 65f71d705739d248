from __future__ import annotations

import math
from itertools import product

import pytest
import torch
from torch import Tensor, nn

from fewlabel.networks.dk_uxnet.encoder import ChannelNorm, UXBlock, UXNetEncoder


def literal(block: UXBlock, x: Tensor) -> Tensor:
    """3D UX-Net's block on one volume (C, D, H, W), voxel by voxel."""
    channels, *sides = x.shape
    weight, bias = block.spatial.weight[:, 0].tolist(), block.spatial.bias.tolist()
    values = x.tolist()
    out = x.clone()
    for d, h, w in product(*map(range, sides)):
        mixed = []
        for c in range(channels):
            total = bias[c]
            for i, j, k in product(range(7), repeat=3):
                a, b, e = d + i - 3, h + j - 3, w + k - 3
                if 0 <= a < sides[0] and 0 <= b < sides[1] and 0 <= e < sides[2]:
                    total += weight[c][i][j][k] * values[c][a][b][e]
            mixed.append(total)
        mean = sum(mixed) / channels
        spread = math.sqrt(sum((v - mean) ** 2 for v in mixed) / channels + 1e-6)
        for c in range(channels):
            normed = (mixed[c] - mean) / spread * float(block.norm.weight[c]) + float(block.norm.bias[c])
            total = float(block.reduce.bias[c])
            for n in range(4):
                hidden = normed * float(block.expand.weight[4 * c + n]) + float(block.expand.bias[4 * c + n])
                active = hidden * 0.5 * (1 + math.erf(hidden / math.sqrt(2)))
                total += active * float(block.reduce.weight[c, n])
            out[c, d, h, w] += float(block.scale[c]) * total
    return out


def test_a_block_equals_its_formula_voxel_by_voxel() -> None:
    torch.manual_seed(0)
    block = UXBlock(2, layer_scale=0.7).double()
    for parameter in (block.norm.weight, block.norm.bias):
        nn.init.normal_(parameter)
    x = torch.randn(1, 2, 2, 3, 4, dtype=torch.float64)

    with torch.no_grad():
        torch.testing.assert_close(block(x)[0], literal(block, x[0]))


def test_the_layout_in_memory_changes_nothing() -> None:
    torch.manual_seed(0)
    block, x = UXBlock(3, layer_scale=1.0), torch.randn(2, 3, 5, 6, 7)

    torch.testing.assert_close(block(x.to(memory_format=torch.channels_last_3d)), block(x))


def test_channels_only_meet_in_the_norm() -> None:
    torch.manual_seed(0)
    block = UXBlock(3, layer_scale=1.0)
    block.norm = nn.Identity()
    x = torch.randn(1, 3, 4, 4, 4)
    changed = x.clone()
    changed[:, 1] += 1

    assert torch.equal(block(changed)[:, [0, 2]], block(x)[:, [0, 2]])


def test_the_norm_leaves_each_voxel_mean_zero_and_variance_one() -> None:
    y = ChannelNorm(64)(5 + 3 * torch.randn(2, 64, 2, 3, 2))

    torch.testing.assert_close(y.mean(dim=1), torch.zeros(2, 2, 3, 2), atol=1e-5, rtol=0)
    torch.testing.assert_close(y.var(dim=1, unbiased=False), torch.ones(2, 2, 3, 2), atol=1e-4, rtol=0)


def branch_scale(block: UXBlock) -> float:
    x = torch.randn(2, len(block.scale), 8, 8, 8)
    with torch.no_grad():
        return float((block(x) - x).std())


def test_a_blocks_branch_begins_at_the_scale_of_what_it_is_added_to() -> None:
    torch.manual_seed(0)
    encoder = UXNetEncoder(dims=(8, 16), depths=(2, 2), layer_scale=1.0)
    scales = [branch_scale(block) for stage in encoder.stages for block in stage]

    # expand draws from U(-1, 1), reduce from U(-1/2, 1/2), for 1 and 4 inputs of a group; the norm makes their input 1
    assert all(0.1 < scale < 1 for scale in scales)
    for module in encoder.modules():
        if isinstance(module, nn.Conv3d):
            bound = 1 / math.sqrt(module.weight[0].numel())
            assert 0.6 * bound < module.weight.abs().max() <= bound
            assert 0 < module.bias.abs().max() <= bound
            # what the normal of 0.02 would make of it
            nn.init.trunc_normal_(module.weight, std=0.02)
            nn.init.zeros_(module.bias)
    small = [branch_scale(block) for stage in encoder.stages for block in stage]
    assert all(before > 200 * after for before, after in zip(scales, small, strict=True))


def test_maps_halve_from_stride_two_to_sixteen() -> None:
    encoder = UXNetEncoder(2, dims=(2, 4, 6, 8), depths=(1, 0, 2, 1))

    maps = encoder(torch.randn(1, 2, 32, 16, 48))

    assert [tuple(m.shape) for m in maps] == [(1, 2, 16, 8, 24), (1, 4, 8, 4, 12), (1, 6, 4, 2, 6), (1, 8, 2, 1, 3)]


def test_stages_and_depths_must_pair_up() -> None:
    with pytest.raises(ValueError, match=r"one entry per stage, got \(2, 4\) and \(1,\)"):
        UXNetEncoder(dims=(2, 4), depths=(1,))
