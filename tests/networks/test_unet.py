from __future__ import annotations

import copy
from itertools import pairwise

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from fewlabel.networks import UNet


def expected_parameters(in_channels: int, classes: int, channels: tuple[int, ...], up_kernel: int = 1) -> int:
    def block(before: int, after: int) -> int:
        # two convolutions with bias, two norms with weight and bias
        return (9 * before + 1) * after + (9 * after + 1) * after + 4 * after

    total = block(in_channels, channels[0]) + (9 * channels[0] + 1) * classes
    for fine, coarse in pairwise(channels):
        total += block(fine, coarse) + (up_kernel**2 * coarse + 1) * fine + block(2 * fine, fine)
    return total


def count(network: nn.Module) -> int:
    return sum(parameter.numel() for parameter in network.parameters())


@pytest.mark.parametrize("norm", ["batch", "instance", "group"])
def test_the_default_has_the_1813764_parameters_of_the_published_network(norm: str) -> None:
    assert expected_parameters(1, 4, (16, 32, 64, 128, 256)) == 1_813_764
    assert count(UNet(norm=norm)) == 1_813_764


def test_the_wide_variant_has_7245737_parameters_at_nine_classes() -> None:
    assert expected_parameters(1, 9, (32, 64, 128, 256, 512)) == 7_245_737
    assert count(UNet(num_classes=9, channels=(32, 64, 128, 256, 512))) == 7_245_737


def test_transposed_upsampling_has_the_130560_more_weights_of_its_2x2_kernels() -> None:
    more = 3 * (256 * 128 + 128 * 64 + 64 * 32 + 32 * 16)
    assert more == 130_560
    assert expected_parameters(1, 4, (16, 32, 64, 128, 256), up_kernel=2) == 1_813_764 + more
    assert count(UNet(upsample="transposed")) == 1_813_764 + more


@pytest.mark.parametrize(("height", "width"), [(32, 32), (48, 80)])
def test_taps_have_the_announced_channels_and_strides_and_the_head_makes_the_logits(height: int, width: int) -> None:
    network = UNet(num_classes=3).eval()
    x = torch.rand(2, 1, height, width)
    taps = network.features(x)
    assert network.feature_channels == {8: 128, 4: 64, 2: 32, 1: 16}
    assert {s: tuple(t.shape) for s, t in taps.items()} == {
        s: (2, c, height // s, width // s) for s, c in network.feature_channels.items()
    }
    torch.testing.assert_close(network.head(taps[1]), network(x), rtol=0, atol=0)


def doubled(x: Tensor) -> Tensor:
    """Bilinear with aligned corners: output i of a side of 2n lies at i (n - 1) / (2n - 1) of the input."""
    for axis in (2, 3):
        n = x.shape[axis]
        rows = []
        for i in range(2 * n):
            position = i * (n - 1) / (2 * n - 1)
            low = min(int(position), n - 2)
            rows.append((low + 1 - position) * x.select(axis, low) + (position - low) * x.select(axis, low + 1))
        x = torch.stack(rows, axis)
    return x


def literal_unet(state: dict[str, Tensor], x: Tensor, upsample: str) -> Tensor:
    """A two-level U-Net in evaluation mode, written out by hand."""

    def unit(x: Tensor, name: str) -> Tensor:
        x = F.conv2d(x, state[f"{name}.conv.weight"], state[f"{name}.conv.bias"], padding=1)
        norm = {
            k: state[f"{name}.adn.N.{k}"].view(1, -1, 1, 1) for k in ("running_mean", "running_var", "weight", "bias")
        }
        x = (x - norm["running_mean"]) / (norm["running_var"] + 1e-5).sqrt() * norm["weight"] + norm["bias"]
        return torch.where(x > 0, x, 0.01 * x)

    fine = unit(unit(x, "encoder.0.0"), "encoder.0.1")
    coarse = fine.unflatten(3, (-1, 2)).unflatten(2, (-1, 2)).amax(dim=(3, 5))
    coarse = unit(unit(coarse, "encoder.1.0"), "encoder.1.1")
    if upsample == "bilinear":
        weight, bias = state["decoder.0.up.preconv.weight"], state["decoder.0.up.preconv.bias"]
        up = doubled(torch.einsum("bihw,oi->bohw", coarse, weight[:, :, 0, 0]) + bias.view(1, -1, 1, 1))
    else:
        weight, bias = state["decoder.0.up.deconv.weight"], state["decoder.0.up.deconv.bias"]
        up = torch.zeros_like(fine)
        for i in range(2):
            for j in range(2):
                mixed = torch.einsum("bihw,io->bohw", coarse, weight[:, :, i, j])
                up[:, :, i::2, j::2] = mixed + bias.view(1, -1, 1, 1)
    merged = unit(unit(torch.cat([fine, up], 1), "decoder.0.merge.0"), "decoder.0.merge.1")
    return F.conv2d(merged, state["head.weight"], state["head.bias"], padding=1)


@pytest.mark.parametrize("upsample", ["bilinear", "transposed"])
def test_a_two_level_network_equals_its_formula_written_out(upsample: str) -> None:
    torch.manual_seed(0)
    network = UNet(channels=(3, 5), dropout=(0.1, 0.5), upsample=upsample).double()
    network(torch.randn(4, 1, 8, 12, dtype=torch.float64))  # moves the running statistics away from 0 and 1
    x = torch.randn(2, 1, 8, 12, dtype=torch.float64)
    torch.testing.assert_close(network.eval()(x), literal_unet(network.state_dict(), x, upsample))


def test_dropout_grows_with_depth_stands_between_the_convolutions_and_spares_the_decoder() -> None:
    network = UNet()
    rates = {name: m.p for name, m in network.named_modules() if isinstance(m, nn.Dropout)}
    assert rates == {f"encoder.{i}.0.adn.D": p for i, p in enumerate((0.05, 0.1, 0.2, 0.3, 0.5))}


@pytest.mark.parametrize("norm", ["batch", "instance", "group"])
def test_the_gradient_reaches_every_parameter(norm: str) -> None:
    torch.manual_seed(0)
    network = UNet(norm=norm)
    F.cross_entropy(network(torch.randn(2, 1, 32, 32)), torch.randint(0, 4, (2, 32, 32))).backward()
    for name, parameter in network.named_parameters():
        assert parameter.grad is not None, name
        assert parameter.grad.isfinite().all(), name


@pytest.mark.parametrize("norm", ["instance", "group"])
def test_without_batch_norm_an_image_does_not_depend_on_its_batch_even_in_training(norm: str) -> None:
    network = UNet(norm=norm, dropout=(0.0,) * 5)
    x = torch.randn(3, 1, 32, 32)
    torch.testing.assert_close(network(x)[:1], network(x[:1]))


def test_a_copy_and_a_reloaded_state_give_the_same_logits_to_the_bit() -> None:
    network = UNet()
    x = torch.rand(1, 1, 32, 32)
    other = UNet()
    other.load_state_dict(network.state_dict())
    logits = network.eval()(x)
    assert torch.equal(logits, copy.deepcopy(network)(x))
    assert torch.equal(logits, other.eval()(x))
    assert torch.equal(logits, network(x))


def test_a_side_that_is_no_multiple_of_16_is_an_error_that_says_so() -> None:
    with pytest.raises(ValueError, match=r"multiples of 16, got \(32, 40\); resize or pad"):
        UNet()(torch.zeros(1, 1, 32, 40))


def test_a_wrong_number_of_channels_or_axes_is_an_error_with_the_shape() -> None:
    with pytest.raises(ValueError, match=r"\(B, 1, H, W\), got \(1, 3, 32, 32\)"):
        UNet()(torch.zeros(1, 3, 32, 32))
    with pytest.raises(ValueError, match=r"got \(1, 32, 32\)"):
        UNet()(torch.zeros(1, 32, 32))


def test_arguments_that_do_not_fit_are_errors_with_their_values() -> None:
    with pytest.raises(ValueError, match=r"got 3 channels .* and 2 dropout rates"):
        UNet(channels=(8, 16, 32), dropout=(0.1, 0.2))
    with pytest.raises(ValueError, match=r"one of .*'batch', 'group', 'instance'.*, got 'layer'"):
        UNet(norm="layer")
    with pytest.raises(ValueError, match=r"one of .*'bilinear', 'transposed'.*, got 'nearest'"):
        UNet(upsample="nearest")
    with pytest.raises(ValueError, match=r"multiples of 8, got \(12, 24\)"):
        UNet(channels=(12, 24), dropout=(0.0, 0.0), norm="group")


def test_a_xavier_head_has_the_spread_of_xaviers_normal_distribution() -> None:
    torch.manual_seed(0)
    weights = torch.cat([UNet(num_classes=9, xavier_head=True).head.weight.flatten() for _ in range(20)])

    # sqrt(2 / (fan_in + fan_out)) of a 3x3 convolution from 16 to 9 channels; 25,920 draws: 2 % is four deviations
    assert weights.std().item() == pytest.approx((2 / (9 * 16 + 9 * 9)) ** 0.5, rel=0.02)


@pytest.mark.parametrize("upsample", ["bilinear", "transposed"])
def test_the_network_compiles_to_torchscript_as_the_zoo_asks(upsample: str) -> None:
    network = UNet(norm="instance", upsample=upsample).eval()
    image = torch.rand(1, 1, 32, 48, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        torch.testing.assert_close(torch.jit.script(network)(image), network(image))
