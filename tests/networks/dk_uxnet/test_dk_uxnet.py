from __future__ import annotations

from typing import Any

import pytest
import torch

from fewlabel.networks import DKUXNet

SMALL: dict[str, Any] = {"channels": 4, "depths": (1, 1, 1, 1), "width": 16, "embedding": 16, "feed_forward": 8}


def small(**options: Any) -> DKUXNet:
    torch.manual_seed(0)
    return DKUXNet(**{**SMALL, **options})


def count(**options: Any) -> int:
    with torch.device("meta"):
        return sum(parameter.numel() for parameter in DKUXNet(**options).parameters())


def test_has_as_many_parameters_as_released_less_those_that_the_release_never_uses() -> None:
    unused = (
        48 * 48 * 27 * 2  # a block behind the decoder
        + 48 * 2 + 2  # a second head
        + 2 * 4 * 2 * (48 + 96 + 192 + 384)  # response norms that are switched off
        + 256 * 256 + 2 * 256  # a projection for the classes
        + 6 * (256 * 32 + 32) + 256 * 133 + 133  # class heads of the predictors
        + 7 * 128  # biases in front of a batch norm
    )  # fmt: skip

    assert count(queries_per_class=64, joint_classifier=True) == 65_503_397 - unused


def test_shows_logits_and_distributions_of_every_layer() -> None:
    shown = small(num_classes=3)(x := torch.randn(2, 1, 32, 32, 32)), small(num_classes=3).outputs(x)

    assert shown[0].shape == shown[1].logits.shape == shown[1].log_distribution.shape == (2, 3, 32, 32, 32)
    assert [layer.shape[2] for layer in shown[1].layers] == [4, 4, 8, 8, 16, 16]
    for log_distribution in (shown[1].log_distribution, *shown[1].layers):
        total = log_distribution.exp().sum(dim=1)
        torch.testing.assert_close(total, torch.ones_like(total))


@pytest.mark.parametrize("joint", [False, True])
def test_forward_gives_the_logits_of_outputs_and_torchscript_too(joint: bool) -> None:
    network, x = small(joint_classifier=joint, layers_per_stride=1), torch.randn(2, 1, 32, 16, 32)
    network(x)  # moves the running averages
    network.eval()

    with torch.no_grad():
        torch.testing.assert_close(network(x), network.outputs(x).logits)
        torch.testing.assert_close(torch.jit.script(network)(x), network(x))


def test_masks_vote_and_groups_sum_as_the_formulas_say() -> None:
    network = small(queries_per_class=(2, 1))
    responses, votes = torch.randn(1, 3, 2, 1, 2), torch.randn(1, 2, 3)
    masks = responses.exp() / responses.exp().sum(dim=1, keepdim=True)
    logits = sum(votes[:, :, n, None, None, None] * masks[:, None, n] for n in range(3))
    groups = torch.stack([masks[:, 0] + masks[:, 1], masks[:, 2]], dim=1)

    found, log_distribution = network._answer(responses, votes)

    torch.testing.assert_close(found, logits)
    torch.testing.assert_close(log_distribution.exp(), groups)
    torch.testing.assert_close(network._distribution(responses).exp(), groups)


def test_gradients_of_votes_and_distribution_equal_finite_differences() -> None:
    network = small(num_classes=3, queries_per_class=(2, 1, 3))
    inputs = (torch.randn(2, 6, 2, 1, 2).double().requires_grad_(), torch.randn(2, 3, 6).double().requires_grad_())

    assert torch.autograd.gradcheck(network._answer, inputs)


def test_a_query_that_drowns_all_others_leaves_logits_and_gradients_finite() -> None:
    network = small(queries_per_class=(2, 1))
    responses = torch.tensor([500.0, -500.0, 0.0]).view(1, 3, 1, 1, 1).requires_grad_()
    logits, log_distribution = network._answer(responses, torch.tensor([[[1.0, 7.0, 2.0], [3.0, 8.0, 4.0]]]))

    assert logits.flatten().tolist() == [1, 3]
    assert log_distribution.flatten().tolist() == [0, -500]
    log_distribution.sum().backward()
    assert responses.grad.flatten().tolist() == [-1, 0, 1]


def test_autocast_does_not_round_the_distribution() -> None:
    network, responses, votes = small(), 3 * torch.randn(1, 32, 2, 3, 2), torch.randn(1, 2, 32)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        logits, log_distribution = network._answer(responses, votes)

    exact = network._answer(responses, votes)
    torch.testing.assert_close(log_distribution, exact[1])
    torch.testing.assert_close(logits.float(), exact[0], atol=0.05, rtol=0)


def test_groups_of_any_size_follow_the_classes() -> None:
    network = small(num_classes=3, queries_per_class=(16, 4, 12))

    assert network.queries.shape == (16, 32)
    assert network.groups == [16, 4, 12]


def test_every_parameter_learns() -> None:
    network = small()
    shown = network.outputs(torch.randn(2, 1, 32, 32, 32))
    targets = (shown.logits, shown.log_distribution, *shown.layers)

    sum(target[:, 1].square().mean() for target in targets).backward()

    assert [name for name, parameter in network.named_parameters() if parameter.grad is None] == []


@pytest.mark.parametrize(
    ("shape", "message"),
    [((1, 2, 32, 32, 32), r"images \(B, 1, D, H, W\), got \(1, 2, 32, 32, 32\)"), ((1, 1, 32, 24, 32), "multiples")],
)
def test_refuses_images_that_do_not_fit(shape: tuple[int, ...], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        small()(torch.zeros(shape))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"queries_per_class": 0}, "at least 1, or one for each of the 2 classes, got 0"),
        ({"queries_per_class": (4, 4, 4)}, "one for each of the 2 classes"),
        ({"num_classes": 1}, "at least 2, got 1"),
        ({"layers_per_stride": 0}, "layers_per_stride must be at least 1"),
        ({"channels": 0}, "channels must be at least 1, got 0"),
    ],
)
def test_refuses_arguments_out_of_range(options: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        small(**options)


def test_the_queries_widths_follow_the_channels() -> None:
    with torch.device("meta"):
        network = DKUXNet(channels=12)

    assert network.queries.shape[0] == 64
    assert network.kmax[0].predictor.queries[0].out_channels == 32
    assert network.kmax[0].feed_forward[0][0].out_channels == 512
