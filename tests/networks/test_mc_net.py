from __future__ import annotations

import pytest
import torch

from fewlabel.networks import MCNet, VNet


@pytest.mark.parametrize(
    ("upsamples", "parameters"),
    [(("transposed", "trilinear"), 12_347_716), (("transposed", "trilinear", "nearest"), 15_246_566)],
)
def test_parameter_counts_are_the_published_networks(upsamples: tuple[str, ...], parameters: int) -> None:
    assert sum(parameter.numel() for parameter in MCNet(upsamples=upsamples).parameters()) == parameters


def test_every_decoder_sees_the_same_maps_and_the_chosen_one_answers() -> None:
    torch.manual_seed(0)
    network, x = MCNet(channels=2).eval(), torch.randn(1, 1, 16, 32, 16)
    second = MCNet(channels=2, inference_decoder=1).eval()
    second.load_state_dict(network.state_dict())
    first_logits, second_logits = network.outputs(x)
    assert torch.equal(network(x), first_logits)
    assert torch.equal(second(x), second_logits)
    assert not torch.allclose(first_logits, second_logits)
    maps = network.encoder(x)
    assert torch.equal(network.decoders[1](maps), second_logits)


def test_each_decoder_upsamples_in_its_own_way() -> None:
    torch.manual_seed(0)
    x, kinds = torch.randn(1, 1, 32, 32, 32), ("transposed", "trilinear", "nearest")
    options = {"channels": 4, "norm": "instance"}  # few channels without a norm of the input may all be dead
    for network in (MCNet(**options), MCNet(**options, upsamples=kinds)):
        for kind, decoder, logits in zip(kinds, network.decoders, network.eval().outputs(x), strict=False):
            alone = VNet(**options, upsample=kind).eval()
            alone.encoder.load_state_dict(network.encoder.state_dict())
            alone.decoder.load_state_dict(decoder.state_dict())
            assert torch.equal(alone(x), logits), kind


@pytest.mark.parametrize("inference_decoder", [0, 1])
def test_the_network_survives_torchscript(inference_decoder: int) -> None:
    network, x = MCNet(channels=2, inference_decoder=inference_decoder).eval(), torch.randn(1, 1, 16, 16, 32)
    assert torch.allclose(torch.jit.script(network)(x), network(x), atol=1e-6)


def test_one_decoder_or_one_that_is_not_there_is_refused() -> None:
    with pytest.raises(ValueError, match="at least two decoders"):
        MCNet(upsamples=("trilinear",))
    with pytest.raises(ValueError, match=r"inference_decoder must be one of the decoders 0 \.\. 1, got 2"):
        MCNet(inference_decoder=2)
