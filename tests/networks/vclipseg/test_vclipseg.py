from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from fewlabel.networks import VCLIPSeg, VNet
from fewlabel.networks.vclipseg.fixed_vectors import orthonormal, stand_in
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


def test_without_a_source_the_text_is_a_stand_in_of_the_stated_geometry() -> None:
    assert torch.equal(small(num_classes=4).text, stand_in(4, 8))
    assert torch.equal(small(text="stand_in").text, stand_in(2, 8))
    own = small(text="stand_in", text_cosine=0.5, text_length=2.0)
    assert torch.equal(own.text, stand_in(2, 8, 0.5, 2.0))


def test_orthonormal_text_stays_a_choice() -> None:
    assert torch.equal(small(text="orthonormal").text, orthonormal(2, 8))


def test_prompts_begin_about_eight_times_as_strong_with_stand_ins_as_with_unit_vectors() -> None:
    def strength(text: str) -> float:
        network = small(text=text, text_channels=512, channels=16)
        return network.prompts.text(network.text).std().item()

    assert strength("stand_in") / strength("orthonormal") == pytest.approx(8, rel=0.25)


def levels(network: VCLIPSeg) -> dict[str, torch.Tensor]:
    """How far the means of two patches, one faint and one bright, differ in what each norm of the coarsest map gives.

    For each of these norms, the largest difference over its channels.
    """
    coarse = {"encoder": network.encoder.levels[-1], "prompts": network.prompts}
    found: dict[str, torch.Tensor] = {}

    def keep(name: str) -> Callable[..., None]:
        def hook(module: nn.Module, inputs: Any, output: torch.Tensor) -> None:
            means = output.mean(dim=(2, 3, 4))
            found[name] = (means[0] - means[1]).abs().max()

        return hook

    for part, modules in coarse.items():
        for name, module in modules.named_modules():
            if isinstance(module, nn.BatchNorm3d | nn.InstanceNorm3d):
                module.register_forward_hook(keep(f"{part}.{name}"))
    generator = torch.Generator().manual_seed(0)
    maps = torch.randn(2, 32, 8, 8, 4, generator=generator)  # of the level above: 8 voxels of it in one coarse voxel
    maps[1] += 2
    with torch.no_grad():
        network.prompts(network.encoder.levels[-1](maps), network.text)
    return found


def test_batch_statistics_keep_what_instance_norm_takes_out_of_a_coarse_map_of_few_voxels() -> None:
    erased = levels(small(norm="instance"))
    kept = levels(small(norm="instance", coarse_norm="batch"))

    assert len(erased) == len(kept) == 6  # four of the encoder, one of the controller, one that merges
    assert max(erased.values()) < 1e-5
    assert min(kept.values()) > 0.1


def test_the_other_levels_keep_their_norm_and_none_leaves_the_coarsest_one_without() -> None:
    def norms(network: VCLIPSeg, kind: type[nn.Module]) -> set[str]:
        return {name for name, module in network.named_modules() if isinstance(module, kind)}

    plain, batch, none = (small(norm="instance", coarse_norm=norm) for norm in (None, "batch", "none"))
    coarsest = {name for name in norms(plain, nn.InstanceNorm3d) if name.startswith(("encoder.levels.4", "prompts."))}
    assert norms(batch, nn.BatchNorm3d) == coarsest
    for changed in (batch, none):
        assert norms(changed, nn.InstanceNorm3d) == norms(plain, nn.InstanceNorm3d) - coarsest
    assert norms(none, nn.BatchNorm3d) == set()
    assert none.eval()(torch.randn(1, 1, 32, 32, 16)).isfinite().all()


@pytest.mark.parametrize(("options", "heads"), [({}, 2), ({"heads": 1}, 1), ({"heads": 1, "projections": False}, 0)])
def test_has_as_many_heads_as_asked_for(options: dict[str, Any], heads: int) -> None:
    assert len(small(**options).outputs(torch.randn(1, 1, 32, 32, 32)).projections) == heads


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
        ({"text_channels": 2}, "2 classes need at least 3 channels of text, got 2"),
        ({"heads": 0}, "heads must be 1 or more, got 0; projections=False leaves them out"),
        ({"coarse_norm": "layer"}, r"coarse_norm must be one of \['batch', 'group', 'instance', 'none'\], got 'layer'"),
    ],
)
def test_refuses_texts_that_do_not_fit(options: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        small(**options)


def test_refuses_a_file_of_another_width(tmp_path: Path) -> None:
    torch.save({"embeddings": torch.randn(2, 6)}, tmp_path / "text.pt")

    with pytest.raises(ValueError, match=r"text_channels is 8, but .*text\.pt has 6: give that number"):
        small(text=str(tmp_path / "text.pt"))
