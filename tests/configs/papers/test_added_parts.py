"""What the READMEs of bundles for slices add to the method by options: a contrast, dynamic labels."""

from __future__ import annotations

import re
import shlex
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path

import pytest
import torch

from fewlabel.engines.loss_weights import as_weights
from helpers.bundle_runs import example, places, short, typed, workflow
from helpers.bundles import readme


def added(bundle: str) -> list[dict[str, str]]:
    """The options that set another method or a part of one, of each command of the README that does."""
    blocks = re.findall(r"(?:^    .*\n)+", readme(bundle).replace("\\\n", " \\\n"), flags=re.MULTILINE)
    commands = [shlex.split(block.replace("\\\n", " ")) for block in blocks if "--method_def" in block]
    return [{word[2:]: value for word, value in pairwise(words) if word.startswith("--")} for words in commands]


CASES = [(bundle, options) for bundle in ("mean_teacher", "cps", "mc_net_2d") for options in added(bundle)]


def test_each_readme_shows_what_can_be_added() -> None:
    found = [(bundle, re.findall(r"methods\.(\w+)", str(options))) for bundle, options in CASES]
    assert found == [
        ("mean_teacher", ["CertaintyContrast"]), ("cps", ["DynamicLabeling"]), ("cps", ["CertaintyContrast"]),
        ("mc_net_2d", ["DynamicLabeling"]),
    ]  # fmt: skip


@pytest.mark.parametrize(("bundle", "options"), CASES, ids=lambda value: value if isinstance(value, str) else "")
def test_an_added_part_is_weighed_and_trained(
    bundle: str, options: dict[str, str], phantoms: Callable[[str], Path], tmp_path: Path
) -> None:
    own = {key: value for key, value in options.items() if key not in ("config_file", "dataset_dir", "labeled_cases")}
    data = {"dataset_dir": str(phantoms("cardiac")), **places(tmp_path)}
    parser = workflow(bundle, "train", **data, **short(bundle), **typed(own)).parser
    method = parser.get_parsed_content("method")
    weights = as_weights(parser.get_parsed_content("weights"))
    optimizer = parser.get_parsed_content("optimizer")
    label = torch.randint(4, (2, 1, 64, 64), generator=torch.Generator().manual_seed(0))
    batch = {"labeled": {"image": example(bundle, 2), "label": label}, "unlabeled": {"image": example(bundle, 2)}}
    terms = method(batch, 0.5)
    assert terms.keys() == weights.keys(), "as the trainer wants it"
    torch.stack([weight(0.5) * terms[name] for name, weight in weights.items()]).sum().backward()
    trained = {name: p for name, p in method.named_parameters() if p.requires_grad}
    assert [name for name, p in trained.items() if p.grad is None] == []
    assert {id(p) for group in optimizer.param_groups for p in group["params"]} == {id(p) for p in trained.values()}
