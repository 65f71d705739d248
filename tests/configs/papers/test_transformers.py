"""The Transformer of a method of two students is exchanged by one override."""

from __future__ import annotations

import pytest
import torch

from fewlabel.networks import CSUNet
from helpers.bundle_runs import workflow
from helpers.bundles import BUNDLES, config, read_json

WITH_TRANSFORMER = [bundle for bundle in BUNDLES if "transformer_def" in read_json(config(bundle, "train"))]


def test_cross_teaching_and_its_successors_have_a_transformer() -> None:
    assert {"cts", "mcsc", "mcsc_v2"} <= set(WITH_TRANSFORMER)


@pytest.mark.parametrize("bundle", WITH_TRANSFORMER)
def test_cs_unet_takes_the_place_of_swin_unet_by_one_override(bundle: str) -> None:
    settings = read_json(config(bundle, "train"))["demo"]
    exchange = {"transformer_def#_target_": "fewlabel.networks.CSUNet", "transformer_def#embed_dim": 24}
    method = workflow(bundle, "train", settings=settings, **exchange).parser.get_parsed_content("method_def")
    assert type(method.transformer) is CSUNet
    images, side = torch.rand(4, 1, settings["size"], settings["size"]), settings["size"]
    batch = {
        "labeled": {"image": images[:2], "label": torch.randint(0, 4, (2, 1, side, side))},
        "unlabeled": {"image": images[2:]},
    }
    sum(method(batch, 0.5).values()).backward()
    assert all(p.grad is not None for p in method.transformer.parameters())


def test_the_networks_of_cross_teaching_have_the_published_sizes() -> None:
    parser = workflow("cts", "train", **{"settings": {"size": 224, "norm": "batch", "embed_dim": 96}}).parser
    for name, expected in (("network_def", 1_813_764), ("transformer_def", 27_168_420)):
        network = parser.get_parsed_content(name)
        assert sum(parameter.numel() for parameter in network.parameters()) == expected
