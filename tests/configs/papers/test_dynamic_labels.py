"""The rows of VCLIPSeg's ablations, by the options that its README and MC-Net's give for the command line."""

from __future__ import annotations

import re
import shlex
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from monai.bundle import ConfigWorkflow

from fewlabel.engines.loss_weights import as_weights
from helpers.bundle_runs import example, places, short, typed, workflow
from helpers.bundles import readme


def table(number: int) -> dict[str, list[str]]:
    """Read the rows of a table of the README by their first cell."""
    (found,) = re.findall(rf"^\| table {number}.*\n\|[-|]+\n((?:\|.*\n)+)", readme("vclipseg"), flags=re.MULTILINE)
    rows = [[cell.strip() for cell in line.strip("| ").split(" | ")] for line in found.splitlines()]
    return {name: cells for name, *cells in rows}


def options(cell: str) -> dict[str, Any]:
    """What `monai.bundle run` makes of the options that a cell begins with, between backticks."""
    words = shlex.split("".join(re.findall(r"^`([^`]+)`", cell)))
    pairs = zip(words[::2], words[1::2], strict=True)
    return typed({key.removeprefix("--"): value for key, value in pairs})


Training = Callable[..., ConfigWorkflow]


@pytest.fixture
def training(phantoms: Callable[[str], Path], tmp_path: Path) -> Training:
    """A bundle set up to train on the phantom, with the paper's networks on small patches, and a cell's options."""

    def made(bundle: str, cell: str, **more: Any) -> ConfigWorkflow:
        own = {"dataset_dir": str(phantoms("atrium")), **places(tmp_path), **short(bundle)}
        settings = {**own, **options(cell), **more}
        return workflow(bundle, "train", **settings)

    return made


def parameters(network: torch.nn.Module) -> int:
    return sum(parameter.numel() for parameter in network.parameters())


def learns(found: ConfigWorkflow, bundle: str) -> dict[str, float]:
    """Take one step as the trainer does, and return the terms; every parameter must be reached and optimized."""
    method = found.parser.get_parsed_content("method")
    weights = as_weights(found.parser.get_parsed_content("weights"))
    optimizer = found.parser.get_parsed_content("optimizer")
    label = torch.randint(2, (2, 1, 32, 32, 16), generator=torch.Generator().manual_seed(0))
    batch = {"labeled": {"image": example(bundle, 2), "label": label}, "unlabeled": {"image": example(bundle, 2)}}
    terms = method(batch, 0.5)
    assert terms.keys() == weights.keys(), "as the trainer wants it"
    sum(weight(0.5) * terms[name] for name, weight in weights.items()).backward()
    assert [name for name, p in method.named_parameters() if p.grad is None] == []
    optimized = {id(p) for group in optimizer.param_groups for p in group["params"]}
    assert optimized == {id(p) for p in method.parameters()}
    return {name: float(term) for name, term in terms.items()}


def test_the_readme_has_every_row_of_tables_3_and_4() -> None:
    expected = ["86.93, 89.39, 90.99", "87.33, 89.76, 90.84", "87.41, 89.55, 91.01", "88.51, 90.59, 91.15"]
    assert [cells[2] for cells in table(3).values()] == expected
    assert [cells[2].split(",")[0] for cells in table(4).values()] == ["50.13", "82.48", "86.93", "84.67", "85.52"]


@pytest.mark.parametrize("row", table(3))
def test_a_row_of_table_3_has_the_parameters_that_the_readme_gives_in_inference_too(
    row: str, training: Training
) -> None:
    cell, count, _ = table(3)[row]
    network = training("vclipseg", cell, text="orthonormal").parser.get_parsed_content("network_def")

    assert parameters(network) == int(count.replace(",", ""))
    given = options(cell)
    given |= {key.replace("network", "second_network"): value for key, value in given.items()}
    inference = workflow("vclipseg", "inference", checkpoint="none.pt", uncertainty=True, **given)
    for name in ("network_def", "second_network_def"):
        inference.parser.get_parsed_content(name).load_state_dict(network.state_dict())


def test_without_prompts_and_consistency_no_text_is_asked_for(
    training: Training, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*arguments: object) -> None:
        raise AssertionError("embeddings were asked for")

    monkeypatch.setattr("fewlabel.networks.vclipseg.vclipseg.text_embeddings", refuse)

    terms = learns(training("vclipseg", next(iter(table(3).values()))[0]), "vclipseg")

    assert terms["dynamic"] > 0
    assert terms["text"] == 0


@pytest.mark.parametrize(
    ("row", "count"), [("MC-Net + dynamic labels", 12_347_716), ("CPS + dynamic labels", 2 * 9_448_866)]
)
def test_dynamic_labels_go_on_top_of_another_bundle_by_the_options_of_table_4(
    row: str, count: int, training: Training
) -> None:
    name, cell, _ = table(4)[row]
    bundle = name.strip("`")
    found = training(bundle, cell)

    terms = learns(found, bundle)

    assert set(terms) == {"supervised", "dynamic", "text"}
    assert terms["dynamic"] > 0
    assert parameters(found.parser.get_parsed_content("method")) == count
    assert found.parser.get_parsed_content("settings")["unlabeled_batch_size"] > 0


def test_mc_nets_readme_gives_the_same_options() -> None:
    text = readme("mc_net").replace("\\\n", " ")
    (command,) = [line for line in text.splitlines() if "DynamicLabeling" in line]

    given = options(f"`{command[command.index('--method_def') :]}`")

    assert given == options(table(4)["MC-Net + dynamic labels"][1])


def test_a_third_decoder_of_mc_net_is_one_option(training: Training) -> None:
    (cell,) = re.findall(r"`--network_def#upsamples [^`]+`", readme("mc_net"))
    found = training("mc_net", cell)

    assert parameters(found.parser.get_parsed_content("network_def")) == 15_246_566
    learns(found, "mc_net")
