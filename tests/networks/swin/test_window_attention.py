from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor

from fewlabel.networks.swin.window_attention import SwinBlock, WindowAttention, window_layout


def literal_attention(layer: WindowAttention, x: Tensor, shifted: bool) -> Tensor:
    """Loops over pairs of tokens of the map; no padding, no roll, no mask: windows are plain intervals."""
    _, height, width, dim = x.shape
    size, heads, d = layer.window_size, layer.num_heads, dim // layer.num_heads

    def interval(side: int) -> list[int]:
        """The window each position is in: windows of equal length, moved back by half of it when shifted."""
        count = math.ceil(side / size)
        length = math.ceil(side / count)
        offset = length // 2 if shifted and count > 1 else 0
        return [-1 if p < offset else (p - offset) // length for p in range(side)]

    rows, columns = interval(height), interval(width)
    weight, bias = layer.qkv.weight.view(3, heads, d, dim), layer.qkv.bias.view(3, heads, d)
    output = torch.zeros_like(x)
    for i in range(height):
        for j in range(width):
            seen = [
                (k, m) for k in range(height) for m in range(width) if rows[k] == rows[i] and columns[m] == columns[j]
            ]
            merged = []
            for h in range(heads):
                query = weight[0, h] @ x[0, i, j] + bias[0, h]
                scores, values = [], []
                for k, m in seen:
                    row = (i - k + size - 1) * (2 * size - 1) + (j - m + size - 1)
                    key = weight[1, h] @ x[0, k, m] + bias[1, h]
                    scores.append(query @ key / math.sqrt(d) + layer.relative_position_bias_table[row, h])
                    values.append(weight[2, h] @ x[0, k, m] + bias[2, h])
                merged.append((torch.stack(scores).softmax(0)[:, None] * torch.stack(values)).sum(0))
            output[0, i, j] = layer.proj(torch.cat(merged))
    return output


@pytest.mark.parametrize("shifted", [False, True])
@pytest.mark.parametrize(("height", "width"), [(6, 6), (3, 3), (2, 3), (4, 4), (7, 5), (8, 3)])
def test_attention_equals_a_loop_over_the_pairs_of_tokens(height: int, width: int, shifted: bool) -> None:
    torch.manual_seed(0)
    layer = WindowAttention(4, num_heads=2, window_size=3, shifted=shifted).double()
    torch.nn.init.normal_(layer.relative_position_bias_table)
    x = torch.randn(1, height, width, 4, dtype=torch.float64)
    with torch.no_grad():
        torch.testing.assert_close(layer(x), literal_attention(layer, x, shifted))


@pytest.mark.parametrize(
    ("side", "window", "grid", "padding"),
    [(56, 7, 8, 0), (7, 7, 1, 0), (4, 4, 1, 0), (8, 4, 2, 0), (24, 6, 4, 0), (16, 6, 3, 2), (32, 7, 5, 3)],
)
def test_windows_are_as_few_as_with_windows_of_7_and_no_larger_than_needed(
    side: int, window: int, grid: int, padding: int
) -> None:
    layout = window_layout(side, side, 7, True, torch.device("cpu"))
    assert (layout.window[0], layout.grid[0], layout.padding[0]) == (window, grid, padding)
    assert grid == math.ceil(side / 7)
    assert layout.shift[0] == (0 if grid == 1 else window // 2)


def test_a_map_of_one_window_is_neither_shifted_nor_masked() -> None:
    shifted, plain = (WindowAttention(4, 2, 7, shifted=s) for s in (True, False))
    shifted.load_state_dict(plain.state_dict())
    x = torch.randn(2, 5, 7, 4)
    assert window_layout(5, 7, 7, True, x.device).mask is None
    assert torch.equal(shifted(x), plain(x))


def test_a_layout_made_in_inference_mode_serves_training_later() -> None:
    layer = WindowAttention(4, 2, 3, shifted=True)
    x = torch.randn(1, 11, 13, 4)
    window_layout.cache_clear()
    with torch.inference_mode():
        layer(x)
    layer(x).sum().backward()
    assert layer.relative_position_bias_table.grad is not None


def test_images_of_a_batch_do_not_see_each_other() -> None:
    layer = WindowAttention(4, 2, 3, shifted=True).double()
    x = torch.randn(3, 7, 8, 4, dtype=torch.float64)
    torch.testing.assert_close(layer(x), torch.cat([layer(image[None]) for image in x]))


def test_attention_has_the_gradient_of_its_formula_with_padding_and_shift() -> None:
    torch.manual_seed(0)
    layer = WindowAttention(2, 1, 3, shifted=True).double()
    x = torch.randn(1, 4, 5, 2, dtype=torch.float64, requires_grad=True)
    table = layer.relative_position_bias_table
    assert torch.autograd.gradcheck(lambda x, _: layer(x), (x, table))


def test_a_block_drops_whole_branches_per_image_and_keeps_the_mean() -> None:
    torch.manual_seed(0)
    block = SwinBlock(4, 2, 3, shifted=False, drop_path=0.5)
    torch.nn.init.zeros_(block.mlp.linear2.weight)
    torch.nn.init.zeros_(block.mlp.linear2.bias)
    x = torch.randn(1, 3, 3, 4).expand(64, -1, -1, -1)
    change = (block(x) - x).detach()
    branch = (block.eval()(x) - x)[0].detach()
    kept = change.flatten(1).abs().sum(1) > 0
    assert 10 < kept.sum() < 54
    torch.testing.assert_close(change[kept], (branch / 0.5).expand(int(kept.sum()), -1, -1, -1), rtol=1e-4, atol=1e-5)
