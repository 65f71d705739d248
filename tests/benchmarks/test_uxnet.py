"""The benchmarks of DK-UXNet's parts run; their figures are no business of a test, that they compute the same is."""

from __future__ import annotations

import importlib
from argparse import Namespace
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import pytest
import torch


@pytest.fixture
def load(monkeypatch: pytest.MonkeyPatch) -> Iterator[object]:
    monkeypatch.syspath_prepend(str(Path(__file__).parent))
    return importlib.import_module


def test_the_dense_attention_that_is_compared_with_gives_the_same(load) -> None:
    kmax: ModuleType = load("kmax")
    tensors = kmax.inputs(50, Namespace(queries=7, dim=4, value_dim=3, device="cpu"))

    torch.testing.assert_close(kmax.dense(*tensors), kmax.lean(*tensors))


def test_the_memory_of_attention_is_measured_in_processes_of_their_own(load, capsys) -> None:
    sizes = {"pixels": 20_000, "queries": 64, "dim": 4, "value-dim": 4, "repeats": 1}
    load("kmax").main([word for key, value in sizes.items() for word in (f"--{key}", str(value))])

    rows = [line.split() for line in capsys.readouterr().out.splitlines()[-2:]]
    assert [row[0] for row in rows] == ["dense", "fewlabel"]
    assert all(float(row[1]) >= 0 for row in rows)


def test_three_ways_to_convolve_give_the_same_and_gradients_too(load) -> None:
    found = []
    for compute in load("uxnet").CONVOLUTIONS.values():
        torch.manual_seed(0)
        x, weight = torch.randn(2, 3, 4, 5, 6).requires_grad_(), torch.randn(3, 1, 7, 7, 7).requires_grad_()
        y = compute(x, weight)
        found.append([y, *torch.autograd.grad(y.square().sum(), (x, weight))])

    for other in found[1:]:
        torch.testing.assert_close(other, found[0], atol=1e-3, rtol=1e-4)


def test_the_parts_of_a_step_are_all_named(load) -> None:
    uxnet = load("uxnet")
    torch.manual_seed(0)
    network = uxnet.DKUXNet(channels=2, depths=(1, 1, 1, 1), width=8, embedding=8, feed_forward=8)

    seconds = uxnet.shares(network, torch.randn(1, 1, 32, 16, 16))

    parts = {"depthwise 7x7x7", "rest of the encoder", "skips and decoder", "k-means layers", "mask predictor"}
    convolutions = {f"{name}, backward" for name in ("depthwise 7x7x7", "depthwise 5x5x5", "other convolutions")}
    assert set(seconds) == {*parts, "other", *convolutions, "all else, backward"}
    assert all(spent > 0 for spent in seconds.values())
