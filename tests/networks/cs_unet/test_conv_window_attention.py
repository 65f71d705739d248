from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor

from fewlabel.networks.cs_unet.conv_window_attention import ConvWindowAttention
from fewlabel.networks.swin.window_attention import WindowAttention


def attention(window_size: int = 3, **arguments: object) -> ConvWindowAttention:
    torch.manual_seed(0)
    layer = ConvWindowAttention(4, 2, window_size, **({"shifted": False} | arguments)).double()  # type: ignore[arg-type]
    for parameter in layer.parameters():
        torch.nn.init.normal_(parameter)
    return layer


def intervals(side: int, window_size: int, shifted: bool) -> list[list[int]]:
    """Positions of the map in each window along an axis, in the window's order: shifted windows wrap around."""
    count = math.ceil(side / window_size)
    length = math.ceil(side / count)
    shift = length // 2 if shifted and count > 1 else 0
    return [[(w * length + i + shift) % (count * length) for i in range(length)] for w in range(count)]


def convolve(window: list[list[Tensor | None]], weight: Tensor) -> list[list[Tensor]]:
    """3x3 depthwise, zero beyond the window and where there is no token."""
    high, wide, dim = len(window), len(window[0]), len(weight)
    result = [[torch.zeros(dim, dtype=torch.float64) for _ in range(wide)] for _ in range(high)]
    for i in range(high):
        for j in range(wide):
            for a in (-1, 0, 1):
                for b in (-1, 0, 1):
                    if 0 <= i + a < high and 0 <= j + b < wide and (token := window[i + a][j + b]) is not None:
                        result[i][j] += weight[:, 0, a + 1, b + 1] * token
    return result


def normalize(token: Tensor, norm: torch.nn.Module) -> Tensor:
    centered = token - token.mean()
    return centered / (centered.square().mean() + 1e-5).sqrt() * norm.weight + norm.bias  # type: ignore[operator]


def literal_attention(layer: ConvWindowAttention, x: Tensor, shifted: bool) -> Tensor:
    """One image, window by window, head by head, token by token; no padding, no roll, no mask."""
    _, height, width, dim = x.shape
    heads, d = layer.num_heads, dim // layer.num_heads
    output = torch.zeros_like(x)
    for rows in intervals(height, layer.window_size, shifted):
        for columns in intervals(width, layer.window_size, shifted):
            window = [[x[0, r, c] if r < height and c < width else None for c in columns] for r in rows]
            parts = []
            for name in ("query", "key", "value"):
                conv, norm = getattr(layer.projection, name)
                maps = convolve(window, conv.conv.weight)
                parts.append([[normalize(token, norm) for token in row] for row in maps])
            query, key, value = parts
            tokens = [(i, j) for i in range(len(rows)) for j in range(len(columns)) if window[i][j] is not None]
            merged: list[list[Tensor | None]] = [[None for _ in columns] for _ in rows]
            for i, j in tokens:
                # the shift brings together what lies on opposite sides of the map; those do not see each other
                seen = [
                    (k, m)
                    for k, m in tokens
                    if (rows[k] < rows[0]) == (rows[i] < rows[0])
                    and (columns[m] < columns[0]) == (columns[j] < columns[0])
                ]
                found = []
                for h in range(heads):
                    part = slice(h * d, (h + 1) * d)
                    scores = torch.stack([query[i][j][part] @ key[k][m][part] / math.sqrt(d) for k, m in seen])
                    weights = scores.softmax(0)
                    found.append(sum(w * value[k][m][part] for w, (k, m) in zip(weights, seen, strict=True)))
                merged[i][j] = torch.cat(found)  # type: ignore[arg-type]
            final = convolve(merged, layer.output[0].conv.weight)  # type: ignore[index, union-attr]
            for i, j in tokens:
                output[0, rows[i], columns[j]] = torch.nn.functional.gelu(final[i][j])
    return output


@pytest.mark.parametrize("shifted", [False, True])
@pytest.mark.parametrize(("height", "width"), [(6, 6), (3, 3), (2, 3), (4, 4), (7, 5), (8, 3)])
def test_attention_equals_loops_over_windows_heads_and_tokens(height: int, width: int, shifted: bool) -> None:
    layer = attention(shifted=shifted)
    x = torch.randn(1, height, width, 4, dtype=torch.float64)
    with torch.no_grad():
        torch.testing.assert_close(layer(x), literal_attention(layer, x, shifted))


@pytest.mark.parametrize("shifted", [False, True])
@pytest.mark.parametrize("position_bias", [False, True])
def test_with_linear_maps_it_is_swins_attention(shifted: bool, position_bias: bool) -> None:
    layer = attention(shifted=shifted, conv_projection=False, conv_output=False, position_bias=position_bias)
    swin = WindowAttention(4, 2, 3, shifted).double()
    table = torch.zeros(25, 2) if layer.relative_position_bias_table is None else layer.relative_position_bias_table
    names = {"projection.qkv": "qkv", "output": "proj"}
    state = {f"{names[name.rpartition('.')[0]]}.{name.rpartition('.')[2]}": value
             for name, value in layer.state_dict().items() if "table" not in name}  # fmt: skip
    swin.load_state_dict(state | {"relative_position_bias_table": table})
    x = torch.randn(2, 7, 8, 4, dtype=torch.float64)
    torch.testing.assert_close(layer(x), swin(x))


def test_without_a_shift_a_change_in_one_window_reaches_no_other() -> None:
    layer = attention()
    x = torch.randn(1, 6, 9, 4, dtype=torch.float64)
    changed = x.clone()
    changed[0, 2, 3] += 1  # in the middle window above, beside two others
    moved = (layer(changed) - layer(x)).abs().sum(-1)[0] > 0
    inside = torch.zeros(6, 9, dtype=torch.bool)
    inside[:3, 3:6] = True
    assert torch.equal(moved, inside)


def test_with_a_shift_the_same_change_reaches_the_window_that_is_moved_by_half() -> None:
    layer = attention(shifted=True)
    x = torch.randn(1, 6, 9, 4, dtype=torch.float64)
    changed = x.clone()
    changed[0, 2, 3] += 1
    moved = (layer(changed) - layer(x)).abs().sum(-1)[0] > 0
    inside = torch.zeros(6, 9, dtype=torch.bool)
    inside[1:4, 1:4] = True
    assert torch.equal(moved, inside)


def test_images_of_a_batch_do_not_see_each_other() -> None:
    layer = attention(shifted=True)
    x = torch.randn(3, 7, 8, 4, dtype=torch.float64)
    torch.testing.assert_close(layer(x), torch.cat([layer(image[None]) for image in x]))


def test_a_map_of_one_window_is_not_shifted() -> None:
    shifted, plain = attention(7, shifted=True), attention(7, shifted=False)
    shifted.load_state_dict(plain.state_dict())
    x = torch.randn(2, 5, 7, 4, dtype=torch.float64)
    assert torch.equal(shifted(x), plain(x))


def test_a_bias_of_the_keys_norm_changes_nothing_since_the_softmax_cancels_it() -> None:
    layer = attention(shifted=True)
    x = torch.randn(1, 7, 8, 4, dtype=torch.float64)
    before = layer(x)
    with torch.no_grad():
        layer.projection.key[1].bias.add_(3)  # type: ignore[index, union-attr, operator]
    torch.testing.assert_close(layer(x), before)


@pytest.mark.parametrize("position_bias", [False, True])
def test_attention_has_the_gradient_of_its_formula_with_padding_and_shift(position_bias: bool) -> None:
    layer = attention(shifted=True, position_bias=position_bias)
    x = torch.randn(1, 4, 5, 4, dtype=torch.float64, requires_grad=True)
    weight = layer.projection.query[0].conv.weight  # type: ignore[index, union-attr]
    assert torch.autograd.gradcheck(lambda x, _: layer(x), (x, weight))


@pytest.mark.parametrize("arguments", [{}, {"shifted": True}, {"position_bias": True}], ids=str)
@pytest.mark.parametrize("side", [3, 6, 7])  # one window, whole windows, padded windows
def test_attention_is_one_call_of_pytorchs_scaled_dot_product(
    side: int, arguments: dict[str, bool], monkeypatch: pytest.MonkeyPatch
) -> None:
    calls = []
    fused = torch.nn.functional.scaled_dot_product_attention

    def note(*tensors: Tensor, **options: Tensor) -> Tensor:
        calls.append(tensors)
        return fused(*tensors, **options)

    monkeypatch.setattr(torch.nn.functional, "scaled_dot_product_attention", note)
    attention(**arguments)(torch.randn(1, side, side, 4, dtype=torch.float64))
    assert len(calls) == 1
