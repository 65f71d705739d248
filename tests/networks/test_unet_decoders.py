from __future__ import annotations

import pytest
import torch

from fewlabel.networks import DecodersUNet, UNet, VNet


def small(**options: object) -> DecodersUNet:
    torch.manual_seed(0)
    return DecodersUNet(num_classes=3, channels=(4, 4, 8), dropout=(0.0,) * 3, norm="instance", **options)


@pytest.mark.parametrize(
    ("upsamples", "count"), [(["bilinear"] * 4, 3_713_664), (["bilinear", "transposed"], 2_577_624)]
)
def test_it_has_the_parameters_of_the_published_networks(upsamples: list[str], count: int) -> None:
    network = DecodersUNet(upsamples=upsamples)
    assert sum(parameter.numel() for parameter in network.parameters()) == count


@pytest.mark.parametrize("upsample", ["bilinear", "transposed"])
def test_each_decoder_is_that_of_the_unet(upsample: str) -> None:
    network = small(upsamples=[upsample] * 2)
    alone = UNet(num_classes=3, channels=(4, 4, 8), dropout=(0.0,) * 3, norm="instance", upsample=upsample)
    alone.encoder.load_state_dict(network.encoder.state_dict())
    alone.decoder.load_state_dict(network.decoders[1].ups.state_dict())
    alone.head.load_state_dict(network.decoders[1].head.state_dict())
    x = torch.rand(2, 1, 16, 8)
    torch.testing.assert_close(network.outputs(x)[1], alone(x))


@pytest.mark.parametrize("decoder", [0, 1])
def test_forward_gives_the_chosen_decoder_in_torchscript_too(decoder: int) -> None:
    network = small(inference_decoder=decoder).eval()
    x = torch.rand(1, 1, 8, 8)
    torch.testing.assert_close(network(x), network.outputs(x)[decoder])
    torch.testing.assert_close(torch.jit.script(network)(x), network(x))


@pytest.mark.parametrize("network", [UNet(channels=(4, 4), dropout=(0.0, 0.0)), VNet(channels=2)])
def test_decoding_what_was_encoded_is_the_network(network: UNet | VNet) -> None:
    x = torch.rand(1, 1, 16, 16) if isinstance(network, UNet) else torch.rand(1, 1, 16, 16, 16)
    network.eval()
    torch.testing.assert_close(network.decode(network.encode(x)), network(x))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"upsamples": ["bilinear"]}, "at least two decoders"),
        ({"upsamples": "bilinear"}, "at least two decoders"),
        ({"upsamples": ["bilinear", "nearest"]}, "upsample must be one of"),
        ({"inference_decoder": 2}, "one of the decoders 0 .. 1, got 2"),
    ],
)
def test_what_makes_no_network_is_an_error(options: dict[str, object], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        small(**options)


def test_sides_that_cannot_be_halved_are_an_error() -> None:
    with pytest.raises(ValueError, match="sides of the image must be multiples of 4, got 8 x 6"):
        small()(torch.rand(1, 1, 8, 6))
