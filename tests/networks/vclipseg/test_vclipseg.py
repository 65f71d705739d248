from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch

from fewlabel.networks import VCLIPSeg, VNet
from fewlabel.networks.vclipseg.vclipseg import VoxelPrompts


def small(**options: Any) -> VCLIPSeg:
    torch.manual_seed(0)
    return VCLIPSeg(**{"channels": 4, "norm": "instance", "text_channels": 8, **options})


def test_has_exactly_the_parameters_of_the_release() -> None:
    assert sum(parameter.numel() for parameter in VCLIPSeg().parameters()) == 16_857_142


def test_prompts_are_the_texts_mixed_by_each_voxels_own_shares() -> None:
    torch.manual_seed(0)
    prompts = VoxelPrompts(16, text_channels=5, num_classes=3, norm="instance")
    features, text = torch.randn(1, 16, 2, 3, 2), torch.randn(3, 5)
    shares = prompts.controller(features).softmax(dim=1)

    prompt = torch.zeros(1, 16, 2, 3, 2)
    for x in range(2):
        for y in range(3):
            for z in range(2):
                prompt[0, :, x, y, z] = sum(shares[0, c, x, y, z] * prompts.text(text[c]) for c in range(3))
    expected = prompts.merge(torch.cat([features, prompt], dim=1))
    torch.testing.assert_close(prompts(features, text), expected)


def test_both_decoders_and_heads_see_one_prompted_map_and_inference_takes_the_first() -> None:
    network, x = small(num_classes=3).eval(), torch.randn(2, 1, 32, 48, 32)

    with torch.no_grad():
        inference_decoder = network.outputs(x)

        assert torch.equal(network(x), inference_decoder.first)
        network.inference_decoder = 1
        assert torch.equal(network(x), inference_decoder.second)
    assert inference_decoder.second.shape == (2, 3, 32, 48, 32)
    assert not torch.allclose(inference_decoder.first, inference_decoder.second)
    assert [tuple(p.shape) for p in inference_decoder.projections] == [(2, 8, 2, 3, 2)] * 2
    with torch.no_grad():
        prompted = network.prompts(network.encoder(x)[-1], network.text)
        for head, found in zip(network.heads, inference_decoder.projections, strict=True):
            assert torch.equal(head(prompted), found)


def test_the_second_decoder_upsamples_trilinearly() -> None:
    network, x = small(prompts=False, projections=False).eval(), torch.randn(1, 1, 32, 32, 32)
    trilinear = VNet(channels=4, norm="instance", upsample="trilinear").eval()
    trilinear.encoder.load_state_dict(network.encoder.state_dict())
    trilinear.decoder.load_state_dict(network.second.state_dict())

    with torch.no_grad():
        assert torch.equal(network.outputs(x).second, trilinear(x))


def test_without_prompts_and_projections_there_is_no_text_to_carry() -> None:
    network = small(text="nobody/clip", prompts=False, projections=False)

    assert network.text is None
    assert "text" not in network.state_dict()
    assert "text" in small(prompts=False).state_dict()
    assert "text" in small(projections=False).state_dict()


def test_the_text_matters_and_travels_with_the_weights() -> None:
    network, x = small().eval(), torch.randn(1, 1, 32, 32, 32)
    other = small()
    other.text = torch.randn(2, 8)
    other.eval()

    with torch.no_grad():
        assert not torch.allclose(network(x), other(x))
        network.load_state_dict(other.state_dict())
        assert torch.equal(network(x), other(x))


def test_the_text_never_learns() -> None:
    assert "text" in dict(small().named_buffers())
    assert not small().text.requires_grad


def test_texts_that_say_nothing_are_orthonormal_and_always_the_same() -> None:
    first, again = small(num_classes=4).text, small(num_classes=4).text

    torch.testing.assert_close(first @ first.T, torch.eye(4))
    assert torch.equal(first, again)


def test_without_prompts_it_is_a_v_net() -> None:
    network, x = small(prompts=False, projections=False).eval(), torch.randn(1, 1, 32, 32, 32)
    plain = VNet(channels=4, norm="instance").eval()
    plain.encoder.load_state_dict(network.encoder.state_dict())
    plain.decoder.load_state_dict(network.first.state_dict())

    with torch.no_grad():
        assert torch.equal(network(x), plain(x))
    assert network.outputs(x).projections == []


@pytest.mark.parametrize(("prompts", "projections"), [(True, True), (False, True), (False, False)])
def test_compiles_to_torchscript(prompts: bool, projections: bool) -> None:
    network, x = small(prompts=prompts, projections=projections).eval(), torch.randn(1, 1, 16, 32, 32)

    with torch.no_grad():
        torch.testing.assert_close(torch.jit.script(network)(x), network(x))


def test_takes_the_embeddings_of_a_file(tmp_path: Path) -> None:
    text = torch.randn(2, 8)
    torch.save({"embeddings": text, "prompts": ["a", "b"], "model": "m"}, tmp_path / "text.pt")

    assert torch.equal(small(text=tmp_path / "text.pt").text, text)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"class_names": ["background"]}, r"must name 2 classes, background included, got \['background'\]"),
        ({"inference_decoder": 2}, "one of the decoders 0 and 1, got 2"),
        ({"text_channels": 1}, "2 classes need at least as many channels of text, got 1"),
    ],
)
def test_refuses_texts_that_do_not_fit(options: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        small(**options)


def test_refuses_a_file_of_another_width(tmp_path: Path) -> None:
    torch.save({"embeddings": torch.randn(2, 6)}, tmp_path / "text.pt")

    with pytest.raises(ValueError, match=r"text_channels is 8, but .*text\.pt has 6: give that number"):
        small(text=str(tmp_path / "text.pt"))
