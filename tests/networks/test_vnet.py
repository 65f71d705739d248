from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from fewlabel.networks import VNet, VNetDecoder, VNetEncoder


def parameters(network: nn.Module) -> int:
    return sum(parameter.numel() for parameter in network.parameters())


def small(**changes: object) -> VNet:
    torch.manual_seed(0)
    return VNet(**{"channels": 2, "num_classes": 3, **changes})


def test_parameter_counts_are_the_published_networks():
    assert parameters(VNet()) == 9_448_866
    assert parameters(VNetEncoder()) == 7_376_896
    assert parameters(VNetDecoder()) == 2_071_970
    assert parameters(VNetDecoder(upsample="trilinear")) == 2_898_850
    # MC-Net's two decoders and MC-Net+'s three
    decoders = [parameters(VNetDecoder(upsample=kind)) for kind in ("transposed", "trilinear", "nearest")]
    assert parameters(VNetEncoder()) + sum(decoders[:2]) == 12_347_716
    assert parameters(VNetEncoder()) + sum(decoders) == 15_246_566


def literal(network: VNet, x: torch.Tensor, upsample: str) -> torch.Tensor:
    """The network in inference, spelled out with functionals on its weights in the order they were made."""
    weights = [tensor for name, tensor in network.state_dict().items() if not name.endswith("num_batches_tracked")]
    encoder, rest = weights[: 16 * 6], weights[16 * 6 :]
    ups, rest = rest[: 4 * 6], rest[4 * 6 :]
    decoder, head = rest[: 9 * 6], rest[9 * 6 :]

    def unit(values, x, convolve):
        weight, bias, gain, shift, mean, variance = (values.pop(0) for _ in range(6))
        return F.relu(F.batch_norm(convolve(x, weight, bias), mean, variance, gain, shift))

    def same(x, weight, bias):
        return F.conv3d(x, weight, bias, padding=1)

    def halve(x, weight, bias):
        return F.conv3d(x, weight, bias, stride=2)

    def double(x, weight, bias):
        if upsample == "transposed":
            return F.conv_transpose3d(x, weight, bias, stride=2)
        aligned = True if upsample == "trilinear" else None
        return same(F.interpolate(x, scale_factor=2, mode=upsample, align_corners=aligned), weight, bias)

    maps = []
    for level, depth in enumerate((1, 2, 3, 3, 3)):
        x = unit(encoder, x, halve) if level else x
        for _ in range(depth):
            x = unit(encoder, x, same)
        maps.append(x)
    for skip, depth in ((maps[3], 3), (maps[2], 3), (maps[1], 2), (maps[0], 1)):
        x = unit(ups, x, double) + skip
        for _ in range(depth):
            x = unit(decoder, x, same)
    return F.conv3d(x, *head)


@pytest.mark.parametrize("upsample", ["transposed", "trilinear", "nearest"])
def test_the_network_equals_its_literal_description(upsample):
    network = small(upsample=upsample)
    network(torch.randn(2, 1, 32, 32, 16))  # moves the running averages away from 0 and 1
    network.eval()
    x = torch.randn(2, 1, 32, 32, 16)
    assert torch.allclose(network(x), literal(network, x, upsample), atol=1e-6)


def test_dropout_removes_whole_channels_of_the_coarsest_and_of_the_last_map_in_training_only():
    network = small(channels=16, norm="instance", dropout=0.5)
    x = torch.randn(1, 1, 32, 32, 32)
    coarsest, last = network.encoder(x)[-1], network.features(x)[1]
    for tap, width in ((coarsest, 256), (last, 16)):
        removed = (tap.flatten(2) == 0).all(dim=2).sum().item()
        assert 0.1 * width < removed < 0.9 * width
    network.eval()
    assert torch.equal(network(x), network(x))
    assert not (network.encoder(x)[-1].flatten(2) == 0).all(dim=2).any()


def test_maps_lie_at_their_strides_and_the_head_makes_the_logits():
    network = small().eval()
    x = torch.randn(1, 1, 32, 16, 48)
    taps = network.features(x)
    assert (
        {stride: tap.shape[1] for stride, tap in taps.items()} == network.feature_channels == {8: 16, 4: 8, 2: 4, 1: 2}
    )
    assert all(tap.shape[2:] == (32 // stride, 16 // stride, 48 // stride) for stride, tap in taps.items())
    assert torch.equal(network.head(taps[1]), network(x))


def test_every_parameter_learns():
    network = small(dropout=0.0)
    network(torch.randn(2, 1, 32, 32, 16)).square().mean().backward()
    assert all(parameter.grad is not None for parameter in network.parameters())


def test_the_network_survives_torchscript():
    network = small().eval()
    x = torch.randn(1, 1, 16, 32, 16)
    assert torch.allclose(torch.jit.script(network)(x), network(x), atol=1e-6)


@pytest.mark.parametrize(
    ("shape", "message"),
    [
        ((1, 1, 32, 32), "expects volumes"),
        ((1, 2, 16, 16, 16), "expects volumes"),
        ((1, 1, 16, 24, 16), "multiples of 16"),
    ],
)
def test_a_volume_that_does_not_fit_is_refused(shape, message):
    with pytest.raises(ValueError, match=message):
        small()(torch.zeros(shape))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"channels": 0}, "channels must be at least 1"),
        ({"norm": "layer"}, "norm must be one of"),
        ({"norm": "group", "channels": 4}, "multiple of 8"),
        ({"dropout": 1.0}, r"probability in \[0, 1\)"),
        ({"upsample": "cubic"}, "upsample must be one of"),
    ],
)
def test_an_argument_that_does_not_fit_is_refused(changes, message):
    with pytest.raises(ValueError, match=message):
        VNet(**changes)
