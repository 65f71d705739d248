"""VCLIPSeg's text: a training without a source says what to do, and weights bring the text along."""

from __future__ import annotations

import logging
import math
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from fewlabel.engines import GaussianRamp
from fewlabel.engines.loss_weights import as_weights
from fewlabel.handlers import load_network
from fewlabel.networks.vclipseg.fixed_vectors import stand_in
from helpers.bundle_runs import places, short, tiny, tree, workflow
from helpers.bundles import config, read_json

BUNDLE = "vclipseg"
ABOUT_TEXT = "stand-ins of CLIP's geometry (cosine 0.85, length 10), which know nothing of language"


@pytest.fixture
def atrium(phantoms: Callable[[str], Path]) -> Path:
    return phantoms("atrium")


def test_a_dataset_without_text_out_of_reach_of_the_hub_stops_before_its_first_step(
    atrium: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("transformers")
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path / "hub"))
    settings = {key: value for key, value in tiny(BUNDLE).items() if not key.endswith("#text")}
    made = workflow(BUNDLE, "train", dataset_dir=str(atrium), **places(tmp_path), **settings)
    made.initialize()

    with pytest.raises(Exception) as info:  # noqa: PT011 - MONAI wraps it, its causes are checked
        made.run()

    causes = [info.value]
    while causes[-1].__cause__ is not None:
        causes.append(causes[-1].__cause__)
    said = next(str(cause) for cause in causes if "no CLIP text model" in str(cause))
    assert "openai/clip-vit-base-patch32" in said
    assert "fewlabel embed" in said
    assert "or copy the model's folder here" in said
    assert "--text stand_in" in said
    assert not any(name.endswith((".pt", ".jsonl")) for name in tree(tmp_path))


def test_weights_bring_their_text_along_so_that_scoring_and_inference_need_no_source(
    atrium: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    file, checkpoint = tmp_path / "text.pt", tmp_path / "models" / "model.pt"
    text = torch.randn(2, 512, generator=torch.Generator().manual_seed(0))
    torch.save({"embeddings": text, "prompts": ["a", "b"], "model": "m"}, file)
    settings = {"dataset_dir": str(atrium), **places(tmp_path), **short(BUNDLE)}
    trained = workflow(BUNDLE, "train", text=str(file), **settings).parser
    checkpoint.parent.mkdir()
    torch.save(trained.get_parsed_content("network_def").state_dict(), checkpoint)
    assert trained.get_parsed_content("reported")["text"] == str(file)
    file.unlink()

    with caplog.at_level(logging.INFO):
        scoring = workflow(BUNDLE, "train", "evaluate", **settings).parser
        inference = workflow(BUNDLE, "inference", checkpoint=str(checkpoint)).parser
        for parser in (scoring, inference):
            network = load_network(parser.get_parsed_content("network_def"), checkpoint)
            assert torch.equal(network.text, text)

    assert scoring.get_parsed_content("reported")["text"] == "as the weights have it"
    assert ABOUT_TEXT not in caplog.text


def test_the_demonstration_says_that_its_text_knows_nothing_of_language(
    atrium: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    demo = read_json(config(BUNDLE, "train"))["demo"]
    made = workflow(BUNDLE, "train", dataset_dir=str(atrium), **places(tmp_path), paper=demo)

    with caplog.at_level(logging.INFO):
        made.parser.get_parsed_content("network_def")

    assert ABOUT_TEXT in caplog.text


def test_small_settings_need_no_clip_and_take_one_that_is_given(
    atrium: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*arguments: object) -> None:
        raise AssertionError("CLIP was asked for")

    monkeypatch.setattr("fewlabel.networks.vclipseg.text_embedding.embed_text", refuse)
    settings = {"dataset_dir": str(atrium), **places(tmp_path), "num_workers": 0}
    network = workflow(BUNDLE, "train", "small", **settings).parser.get_parsed_content("network_def")
    assert torch.equal(network.text, stand_in(2, 512))

    file = tmp_path / "text.pt"
    torch.save({"embeddings": torch.ones(2, 512), "prompts": ["a", "b"], "model": "m"}, file)
    given = workflow(BUNDLE, "train", "small", text=str(file), **settings).parser.get_parsed_content("network_def")
    assert torch.equal(given.text, torch.ones(2, 512))


def test_the_geometry_of_stand_ins_is_an_option(atrium: Path, tmp_path: Path) -> None:
    own = {"network_def#text_cosine": 0.5, "network_def#text_length": 2.0}
    made = workflow(BUNDLE, "train", "small", dataset_dir=str(atrium), **places(tmp_path), num_workers=0, **own)
    assert torch.equal(made.parser.get_parsed_content("network_def").text, stand_in(2, 512, 0.5, 2.0))


@pytest.mark.parametrize("block", ["small", "demo"])
def test_coarse_maps_of_few_voxels_keep_a_patchs_level_and_count_what_a_block_holds(
    block: str, atrium: Path, tmp_path: Path
) -> None:
    overlays = ["small"] if block == "small" else []
    demo = {} if overlays else {"paper": read_json(config(BUNDLE, "train"))["demo"]}
    made = workflow(BUNDLE, "train", *overlays, dataset_dir=str(atrium), **places(tmp_path), num_workers=0, **demo)
    method = made.parser.get_parsed_content("method")
    coarse = [*method.network.encoder.levels[-1].modules(), *method.network.prompts.modules()]
    assert not any(isinstance(module, torch.nn.InstanceNorm3d) for module in coarse)
    assert any(isinstance(module, torch.nn.BatchNorm3d) for module in coarse)
    assert any(isinstance(module, torch.nn.InstanceNorm3d) for module in method.network.first.modules())
    assert method.coarse_labels == "share"


@pytest.mark.parametrize("bundle", ["mc_net", "vclipseg"])
def test_the_baseline_learns_from_labels_what_the_others_do(bundle: str, atrium: Path, tmp_path: Path) -> None:
    """Two equal decoders, each with half the weight, are one."""
    settings = {"dataset_dir": str(atrium), **places(tmp_path), "num_workers": 0, "text": "stand_in"}
    generator = torch.Generator().manual_seed(0)
    image, label = torch.randn(2, 1, 4, 4, 4, generator=generator), torch.ones(2, 1, 4, 4, 4, dtype=torch.long)
    label[:, :, :2] = 0
    batch = {"labeled": {"image": image, "label": label}, "unlabeled": None}

    class Twins(torch.nn.Module):
        one = torch.nn.Conv3d(1, 2, 1)

        def outputs(self, x: torch.Tensor) -> list[torch.Tensor]:
            return [self.one(x), self.one(x)]

    def loss(name: str, network: torch.nn.Module) -> torch.Tensor:
        own = {key: value for key, value in settings.items() if key != "text" or name == "vclipseg"}
        parser = workflow(name, "train", **own).parser
        method = parser.get_parsed_content("method")
        method.network = network
        weight = as_weights(parser.get_parsed_content("weights"))["supervised"](0.5)
        return weight * method(batch)["supervised"]

    torch.testing.assert_close(loss("vnet", Twins.one), loss(bundle, Twins()))


@pytest.mark.parametrize("bundle", ["vnet", "mc_net", "vclipseg"])
def test_the_papers_settings_are_those_of_section_3(bundle: str) -> None:
    paper = read_json(config(bundle, "train"))["paper"]
    assert (paper["steps"], paper["lr_network"], paper["lr_power"]) == (15_000, 0.01, 0)
    assert (paper["size"], paper["stride"], paper["spacing"]) == ([112, 112, 80], [18, 18, 4], [0.625] * 3)
    assert (paper["channels"], paper["dropout"], paper["norm"]) == (16, 0.5, "batch")
    assert paper["labeled_batch_size"] + paper["unlabeled_batch_size"] == 4
    assert paper["optimizer"] == {
        "_target_": "torch.optim.SGD", "_mode_": "callable", "momentum": 0.9, "weight_decay": 1e-4
    }  # fmt: skip


def test_the_papers_loss_is_weighted_as_equation_11_with_the_releases_half(atrium: Path, tmp_path: Path) -> None:
    made = workflow(BUNDLE, "train", dataset_dir=str(atrium), **places(tmp_path), num_workers=0)
    weights = made.parser.get_parsed_content("weights")
    ramp = weights.pop("dynamic")

    assert weights == {"supervised": 0.5, "text": 0.5}
    assert isinstance(ramp, GaussianRamp)
    assert [ramp(t) for t in (0.0, 0.5, 1.0)] == pytest.approx([math.exp(-5), math.exp(-1.25), 1.0])


def test_mc_nets_consistency_rises_over_the_released_6000_of_15000_steps(atrium: Path, tmp_path: Path) -> None:
    made = workflow("mc_net", "train", dataset_dir=str(atrium), **places(tmp_path), num_workers=0)
    weights = made.parser.get_parsed_content("weights")

    assert weights["supervised"] == 0.5
    rising = [weights["consistency"](t) for t in (0.0, 0.2, 0.4, 1.0)]
    assert rising == pytest.approx([math.exp(-5), math.exp(-1.25), 1.0, 1.0])
