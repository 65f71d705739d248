from __future__ import annotations

from typing import Any

import pytest
import torch
from monai.data import DataLoader, Dataset
from monai.inferers import SimpleInferer
from torch import Tensor, nn

from fewlabel.conventions import precision
from fewlabel.engines import MixedPrecisionEvaluator


class Noting(nn.Module):
    """A product that bfloat16 rounds, and the precision in which it was computed."""

    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Conv2d(1, 1, 1, bias=False)
        nn.init.ones_(self.layer.weight)
        self.dtypes: list[torch.dtype] = []
        self.modes: list[bool] = []

    def forward(self, x: Tensor) -> Tensor:
        result: Tensor = self.layer(x)
        self.dtypes.append(result.dtype)
        self.modes.append(self.training)
        return result


class Behind(SimpleInferer):
    """An inferer that goes on computing with the logits."""

    def __call__(self, inputs: Tensor, network: Any, *args: Any, **kwargs: Any) -> Tensor:
        logits = network(inputs)
        return logits @ torch.eye(logits.shape[-1])


def evaluator(network: nn.Module, **options: Any) -> MixedPrecisionEvaluator:
    cases = Dataset([{"image": torch.full((1, 2, 2), 257.0), "label": torch.zeros(1, 2, 2)}])
    return MixedPrecisionEvaluator(torch.device("cpu"), DataLoader(cases), network, inferer=Behind(), **options)


@pytest.mark.parametrize(
    ("amp", "has", "dtype", "found"),
    [
        ("off", True, torch.float32, 257.0),
        ("cuda", True, torch.float32, 257.0),
        ("auto", False, torch.float32, 257.0),
        ("auto", True, torch.bfloat16, 256.0),
        ("bfloat16", False, torch.bfloat16, 256.0),
        (True, False, torch.bfloat16, 256.0),
    ],
)
def test_the_network_computes_as_it_is_told_and_all_behind_it_in_float32(
    amp: str | bool, has: bool, dtype: torch.dtype, found: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(precision, "cpu_has_bfloat16", lambda: has)
    network = Noting()
    behind: list[bool] = []

    def postprocessing(case: dict[str, Tensor]) -> dict[str, Tensor]:
        behind.append(torch.is_autocast_enabled("cpu"))
        # a sum of 257 that autocast would round
        return {**case, "pred": case["pred"] + torch.tensor([[1.0]]) @ torch.tensor([[257.0]])}

    engine = evaluator(network, amp=amp, postprocessing=postprocessing)
    engine.run()
    [result] = engine.state.output
    assert network.dtypes == [dtype]
    assert network.modes == [False]
    assert behind == [False]
    assert result["pred"].dtype == torch.float32
    assert result["pred"].eq(found + 257).all()


def test_without_the_option_it_is_monais() -> None:
    assert evaluator(Noting()).amp is False


@pytest.mark.parametrize("options", [{"compile": True}, {"amp_kwargs": {"cache_enabled": False}}])
def test_what_bfloat16_does_not_take_is_an_error(options: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match='compile and amp_kwargs go with float32 alone: give amp "off"'):
        evaluator(Noting(), amp="bfloat16", **options)


def test_an_unknown_precision_is_an_error_that_names_the_choices() -> None:
    with pytest.raises(ValueError, match='amp must be "auto", "cuda", "bfloat16" or "off", got \'half\''):
        evaluator(Noting(), amp="half")
