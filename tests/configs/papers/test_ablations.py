"""The rows of the thesis' ablations are overrides on the command line, as the bundles' READMEs list them."""

from __future__ import annotations

import re

import pytest
import torch

from fewlabel.methods import CertaintyGuidedContrastiveLoss, GLCLLoss, MCSCv2, ReCoLoss
from helpers.bundle_runs import typed, workflow
from helpers.bundles import config, read_json, readme

TABLE_3_3 = {f"method {number}" for number in range(7)}
TABLE_3_4 = {"single convolution", "residual block", "pre-activated residual block", "ResNeXt block"}


def cs_unet_rows() -> dict[str, tuple[dict[str, str], int]]:
    """What the README of CS-UNet says of each row: the options as typed, and the parameters."""
    text = readme("cs_unet")
    rows: dict[str, tuple[dict[str, str], int]] = {}
    for line in text.splitlines():
        cells = [cell.strip() for cell in line.strip("|").split("|")]
        if cells[0] in TABLE_3_3 | TABLE_3_4:
            (options,) = [cell for cell in cells if "--network_def" in cell or cell.startswith(("none", "those of"))]
            (parameters,) = [cell for cell in cells if re.fullmatch(r"\d+(,\d{3})+", cell)]
            base = re.search(r"those of (\d)", options)
            more = dict(re.findall(r"--(\S+) ([\w.]+)", options))
            before = rows[f"method {base[1]}"][0] if base else {}
            rows[cells[0]] = ({**before, **more}, int(parameters.replace(",", "")))
    return rows


@pytest.mark.parametrize("row", sorted(TABLE_3_3 | TABLE_3_4))
def test_a_row_of_tables_3_3_and_3_4_is_an_override(row: str) -> None:
    options, parameters = cs_unet_rows()[row]
    settings = read_json(config("cs_unet", "train"))["demo"]
    made = workflow("cs_unet", "train", settings=settings, num_classes=9, **typed(options)).parser
    with torch.device("meta"):
        network = made.get_parsed_content("network_def")
    assert sum(parameter.numel() for parameter in network.parameters()) == parameters


def mcsc_v2(**options: str) -> MCSCv2:
    settings = read_json(config("mcsc_v2", "train"))["demo"] | {"bank_size": 40}
    small = {"network_def#channels": [8] * 5, "transformer_def#embed_dim": 24}
    made = workflow("mcsc_v2", "train", **small, **{"settings": settings, **typed(options)}).parser
    method = made.get_parsed_content("method_def")
    assert isinstance(method, MCSCv2)
    return method


def test_without_overrides_mcsc_v2_has_all_strategies_of_table_5_7() -> None:
    method = mcsc_v2()
    assert method.cross_labels is True
    assert list(method.projectors) == ["1", "8"]
    for one in method.contrastive_losses.values():
        assert isinstance(one, CertaintyGuidedContrastiveLoss)
        assert one.include_background is one.balanced is one.certain_anchors is one.ranked_negatives is True
        assert one.bank is not None


@pytest.mark.parametrize("word", ["false", "False"])
@pytest.mark.parametrize("switch", ["include_background", "balanced", "certain_anchors", "ranked_negatives"])
def test_ba_bal_aps_and_ns_of_table_5_7_are_overrides(switch: str, word: str) -> None:
    method = mcsc_v2(**{f"contrastive_losses#certain#{switch}": word})
    assert [getattr(one, switch) for one in method.contrastive_losses.values()] == [False, False]


@pytest.mark.parametrize("word", ["null", "None"])
def test_bank_of_table_5_7_is_an_override(word: str) -> None:
    method = mcsc_v2(**{"contrastive_losses#certain#bank_size": word})
    assert [one.bank for one in method.contrastive_losses.values()] == [None, None]


def test_crolab_and_muls_of_table_5_7_are_overrides() -> None:
    method = mcsc_v2(**{"method_def#cross_labels": "false", "method_def#strides": "[1]"})
    assert method.cross_labels is False
    assert list(method.projectors) == list(method.contrastive_losses) == ["1"]


def test_scl_of_table_5_7_is_an_override() -> None:
    made = workflow("mcsc_v2", "train", settings="$@paper", **typed({"paper#contrastive_weight": "0"})).parser
    assert made.get_parsed_content("weights")["contrastive"] == 0


@pytest.mark.parametrize(("name", "kind"), [("glcl", GLCLLoss), ("reco", ReCoLoss)])
def test_the_contrasts_of_table_5_4_are_overrides_and_train(name: str, kind: type) -> None:
    method = mcsc_v2(contrastive_loss=name)
    assert [type(one) for one in method.contrastive_losses.values()] == [kind, kind]
    batch = {
        "labeled": {"image": torch.rand(2, 1, 64, 64), "label": torch.randint(0, 4, (2, 1, 64, 64))},
        "unlabeled": {"image": torch.rand(2, 1, 64, 64)},
    }
    method(batch, 0.5)["contrastive"].backward()
    assert all(p.grad is not None for p in method.projectors.parameters())
