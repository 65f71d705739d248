"""Each bundle's method trains: its terms, its optimizer, one short training."""

from __future__ import annotations

import json
from copy import deepcopy

import pytest
import torch

from helpers.bundle_runs import Trained, workflow
from helpers.bundles import BUNDLES, config, read_json


@pytest.mark.parametrize("trained", BUNDLES, indirect=True)
def test_a_short_training_lowers_the_supervised_loss_and_tells_every_term_also_without_unlabeled_scans(
    trained: Trained,
) -> None:
    parser = trained.workflow.parser
    lines = (trained.folder / "eval" / "history.jsonl").read_text().splitlines()
    first, last = (json.loads(line)["terms"] for line in lines)
    assert first.keys() == last.keys() == parser.get_parsed_content("weights").keys()
    falls = [sum(value for name, value in terms.items() if name.startswith("supervised")) for terms in (first, last)]
    assert falls[1] < falls[0]

    batch = next(iter(parser.get_parsed_content("train#dataloader")))
    terms = deepcopy(parser.get_parsed_content("method"))({"labeled": batch["labeled"], "unlabeled": None}, 1.0)
    assert terms.keys() == last.keys()
    assert all(torch.isfinite(term) for term in terms.values())


def test_the_papers_optimizer_takes_every_parameter_at_the_papers_rates(subtests: pytest.Subtests) -> None:
    for bundle in BUNDLES:
        with subtests.test(bundle=bundle):
            train = read_json(config(bundle, "train"))
            own = {key: value for key, value in train["paper"].items() if key == "optimizer" or key.startswith("lr_")}
            parser = workflow(
                bundle, "train", settings=train["demo"] | own, device="cpu", labels={0: "a", 1: "b"}
            ).parser
            optimizer, method = (parser.get_parsed_content(name) for name in ("optimizer", "method"))
            assert f"torch.optim.{type(optimizer).__name__}" == own["optimizer"]["_target_"]
            rates = {group["name"]: group["lr"] for group in optimizer.param_groups}
            assert rates == parser.get_parsed_content("learning_rates")
            assert set(rates.values()) <= {value for key, value in own.items() if key.startswith("lr_")}
            held = sorted(id(parameter) for group in optimizer.param_groups for parameter in group["params"])
            assert held == sorted(id(parameter) for parameter in method.parameters() if parameter.requires_grad)
