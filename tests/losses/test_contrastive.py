from __future__ import annotations

import math

import pytest
import torch
import torch.nn.functional as F
from monai.data import MetaTensor
from torch import Tensor

from fewlabel.losses import BalancedContrastiveLoss, balanced_contrastive


def literal_loss(features: Tensor, labels: Tensor, temperature: float) -> float:
    """Equation 4.2, leave-one-out, one pair at a time."""
    rows, classes = features.double().tolist(), labels.tolist()
    losses = []
    for i, anchor in enumerate(rows):
        similar: dict[int, list[float]] = {}
        for k, other in enumerate(rows):
            if k != i:
                dot = sum(a * b for a, b in zip(anchor, other, strict=True))
                similar.setdefault(classes[k], []).append(dot / temperature)
        if classes[i] in similar:
            top = max(max(values) for values in similar.values())
            denominator = sum(
                sum(math.exp(value - top) for value in values) / len(values) for values in similar.values()
            )
            positives = similar[classes[i]]
            losses.append(top + math.log(denominator) - sum(positives) / len(positives))
    return sum(losses) / len(losses) if losses else 0.0


def unit(*shape: int, seed: int = 0, dtype: torch.dtype = torch.float64) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    return F.normalize(torch.randn(*shape, dtype=torch.float64, generator=generator), dim=-1).to(dtype)


def some_labels(*shape: int, classes: int, seed: int = 0) -> Tensor:
    return torch.randint(classes, shape, generator=torch.Generator().manual_seed(seed))


def test_two_orthogonal_pairs_cost_log_of_one_plus_e_to_the_minus_one() -> None:
    features = torch.tensor([[1.0, 0.0], [1.0, 0.0], [0.0, 1.0], [0.0, 1.0]], dtype=torch.float64)
    loss = balanced_contrastive(features, torch.tensor([0, 0, 1, 1]), temperature=1.0)
    # Without the balance the two pixels of the other class would count twice: log(1 + 2 / e).
    assert loss.item() == pytest.approx(math.log(1 + math.exp(-1)), abs=1e-12)


@pytest.mark.parametrize("temperature", [1.0, 0.1, 1 / 39, 1e-3])
@pytest.mark.parametrize(("n", "classes"), [(2, 1), (9, 2), (23, 4), (40, 9), (31, 200)])
def test_equals_the_equation_written_out_pair_by_pair(n: int, classes: int, temperature: float) -> None:
    features, labels = unit(n, 5, seed=n), some_labels(n, classes=classes, seed=n)
    expected = literal_loss(features, labels, temperature)
    assert balanced_contrastive(features, labels, temperature).item() == pytest.approx(expected, rel=1e-10, abs=1e-10)


def test_a_class_of_one_pixel_repels_but_is_no_anchor() -> None:
    features, labels = unit(7, 3), torch.tensor([4, 4, 4, -1, -1, -1, 50])
    assert balanced_contrastive(features, labels, 0.2).item() == pytest.approx(literal_loss(features, labels, 0.2))
    apart = balanced_contrastive(features[:6], labels[:6], 0.2)
    assert not torch.isclose(balanced_contrastive(features, labels, 0.2), apart)


@pytest.mark.parametrize("temperature", [0.2, 1e-3])
@pytest.mark.parametrize("ignore_index", [None, 7])
def test_divided_by_pixels_the_mean_is_over_all_that_are_counted(temperature: float, ignore_index: int | None) -> None:
    features, labels = unit(9, 3).requires_grad_(), torch.tensor([4, 4, 4, -1, -1, -1, 50, 7, 8])
    kept = torch.ones(9, dtype=torch.bool) if ignore_index is None else labels != ignore_index
    anchors, pixels = 6, int(kept.sum())
    loss = balanced_contrastive(features, labels, temperature, ignore_index=ignore_index, divide_by="pixels")
    expected = literal_loss(features[kept], labels[kept], temperature) * anchors / pixels
    assert loss.item() == pytest.approx(expected, rel=1e-10)
    plain = balanced_contrastive(features, labels, temperature, ignore_index=ignore_index) * anchors / pixels
    torch.testing.assert_close(*(torch.autograd.grad(value, features)[0] for value in (loss, plain)))


def test_a_single_class_gives_the_plain_contrastive_loss_minus_log_of_n_minus_one() -> None:
    n, temperature = 17, 0.3
    features = unit(n, 4)
    similarity = (features @ features.T / temperature)[~torch.eye(n, dtype=torch.bool)].reshape(n, n - 1)
    plain = (similarity.logsumexp(dim=1) - similarity.mean(dim=1)).mean()
    loss = balanced_contrastive(features, torch.full((n,), 3), temperature)
    torch.testing.assert_close(loss, plain - math.log(n - 1))


@pytest.mark.parametrize("times", [2, 5])
def test_repeating_another_class_leaves_an_anchors_loss_unchanged(times: int) -> None:
    class_0, direction, temperature = unit(6, 3), unit(1, 3, seed=1), 0.5

    def summed_over_class_0(copies: int) -> float:
        features = torch.cat([class_0, direction.expand(2 * copies, -1)])
        labels = torch.tensor([0] * 6 + [1] * 2 * copies)
        # An anchor of the other class sees itself, 1, and the mean of class 0.
        alike = math.exp(1 / temperature)
        apart = (class_0 @ direction[0] / temperature).exp().mean().item()
        of_class_1 = math.log(alike + apart) - 1 / temperature
        return balanced_contrastive(features, labels, temperature).item() * len(labels) - 2 * copies * of_class_1

    assert summed_over_class_0(times) == pytest.approx(summed_over_class_0(1), rel=1e-10)


def test_order_rotation_and_names_of_the_classes_do_not_matter() -> None:
    features, labels = unit(30, 4), some_labels(30, classes=3)
    loss = balanced_contrastive(features, labels)
    order = torch.randperm(30, generator=torch.Generator().manual_seed(5))
    rotation = torch.linalg.qr(unit(4, 4, seed=2)).Q
    names = torch.tensor([70, -255, 2**40])
    torch.testing.assert_close(balanced_contrastive(features[order], labels[order]), loss)
    torch.testing.assert_close(balanced_contrastive(features @ rotation, labels), loss)
    torch.testing.assert_close(balanced_contrastive(features, names[labels]), loss)


@pytest.mark.parametrize("temperature", [0.5, 0.01])
def test_gradient_is_that_of_finite_differences(temperature: float) -> None:
    features, labels = unit(2, 9, 3).requires_grad_(), some_labels(2, 9, classes=4)
    assert torch.autograd.gradcheck(
        lambda inputs: balanced_contrastive(inputs, labels, temperature, "none"), features, eps=1e-7, atol=1e-4
    )


@pytest.mark.parametrize("temperature", [0.1, 1 / 39, 1e-3])
def test_float32_agrees_with_float64_at_small_temperatures(temperature: float) -> None:
    exact, labels = unit(60, 8).requires_grad_(), some_labels(60, classes=4)
    single = exact.detach().float().requires_grad_()
    expected, loss = balanced_contrastive(exact, labels, temperature), balanced_contrastive(single, labels, temperature)
    expected.backward()
    loss.backward()
    assert loss.dtype == torch.float32
    torch.testing.assert_close(loss.double(), expected, rtol=1e-5, atol=1e-6)
    torch.testing.assert_close(single.grad.double(), exact.grad, rtol=1e-3, atol=1e-4 * exact.grad.abs().max().item())


def test_opposite_and_equal_features_stay_finite_at_a_temperature_of_one_thousandth() -> None:
    features = torch.tensor([[1.0, 0.0], [-1.0, 0.0], [1.0, 0.0], [-1.0, 0.0]], requires_grad=True)
    loss = balanced_contrastive(features, torch.tensor([0, 0, 1, 1]), temperature=1e-3)
    loss.backward()
    # Positive at -1000, the equal pixel of the other class at +1000 with weight 1/2: 2000 - log 2.
    assert loss.item() == pytest.approx(2000 - math.log(2))
    assert features.grad.isfinite().all()


@pytest.mark.parametrize("shape", [(1, 3), (4, 3), (0, 3), (2, 4, 3), (0, 4, 3), (2, 0, 3)])
@pytest.mark.parametrize("reduction", ["mean", "sum", "none"])
def test_no_positive_pair_gives_zero_with_a_graph(shape: tuple[int, ...], reduction: str) -> None:
    features = torch.ones(shape, requires_grad=True)
    labels = torch.arange(features[..., 0].numel()).reshape(shape[:-1])
    loss = balanced_contrastive(features, labels, reduction=reduction)
    assert loss.eq(0).all()
    loss.sum().backward()
    assert features.grad.eq(0).all()


def test_mean_is_over_the_groups_that_have_anchors() -> None:
    features, labels = unit(3, 10, 4), some_labels(3, 10, classes=3)
    labels[1] = torch.arange(10)
    alone = torch.stack([balanced_contrastive(f, y) for f, y in zip(features, labels, strict=True)])
    torch.testing.assert_close(balanced_contrastive(features, labels, reduction="none"), alone)
    torch.testing.assert_close(balanced_contrastive(features, labels, reduction="sum"), alone[0] + alone[2])
    torch.testing.assert_close(balanced_contrastive(features, labels), (alone[0] + alone[2]) / 2)


def test_ignored_pixels_might_as_well_not_be_there() -> None:
    labels = some_labels(25, classes=4)
    for temperature in (0.1, 0.01):
        whole, rest = unit(25, 4).requires_grad_(), unit(25, 4)[labels != 2].requires_grad_()
        loss = balanced_contrastive(whole, labels, temperature, ignore_index=2)
        without = balanced_contrastive(rest, labels[labels != 2], temperature)
        (loss + without).backward()
        torch.testing.assert_close(loss, without)
        torch.testing.assert_close(whole.grad[labels != 2], rest.grad)
        assert whole.grad[labels == 2].eq(0).all()


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_half_precision_features_are_computed_in_float32(dtype: torch.dtype) -> None:
    features, labels = unit(40, 16, dtype=dtype).requires_grad_(), some_labels(40, classes=3)
    single = features.detach().float().requires_grad_()
    with torch.autocast("cpu", dtype=torch.bfloat16):
        loss, expected = balanced_contrastive(features, labels), balanced_contrastive(single, labels)
    assert loss.dtype == torch.float32
    assert loss == expected
    assert expected == balanced_contrastive(single, labels)  # outside autocast
    loss.backward()
    expected.backward()
    assert features.grad.dtype == dtype
    torch.testing.assert_close(features.grad.float(), single.grad, rtol=1e-2, atol=1e-5)


def test_a_loss_scale_saves_small_gradients_of_float16_features() -> None:
    features, labels = unit(4000, 2, dtype=torch.float16).requires_grad_(), some_labels(4000, classes=2)
    single = features.detach().float().requires_grad_()
    for inputs in (features, single):
        (2.0**16 * balanced_contrastive(inputs, labels, temperature=20.0)).backward()
    torch.testing.assert_close(features.grad.float(), single.grad, rtol=1e-3, atol=1e-6)


def test_metadata_of_labels_and_maps_do_not_follow_the_loss() -> None:
    features, labels = unit(10, 3).requires_grad_(), some_labels(10, classes=3)
    loss = balanced_contrastive(MetaTensor(features), MetaTensor(labels))
    assert type(loss) is Tensor
    assert loss == balanced_contrastive(features, labels)
    loss.backward()
    assert features.grad.abs().sum() > 0


def test_a_retained_graph_gives_the_same_gradient_again() -> None:
    features, labels = unit(12, 3).requires_grad_(), some_labels(12, classes=2)
    loss = 3 * balanced_contrastive(features, labels)
    (first,) = torch.autograd.grad(loss, features, retain_graph=True)
    (second,) = torch.autograd.grad(loss, features)
    torch.testing.assert_close(first, second, rtol=0, atol=0)


def test_a_gradient_of_the_gradient_is_an_error() -> None:
    features = unit(6, 3).requires_grad_()
    loss = balanced_contrastive(features, torch.tensor([0, 0, 0, 1, 1, 1]))
    with pytest.raises(RuntimeError, match="only once: leave out create_graph=True"):
        torch.autograd.grad(loss, features, create_graph=True)


def test_only_the_gradient_waits_for_the_backward_pass() -> None:
    features, labels = unit(2, 64, 3).requires_grad_(), some_labels(2, 64, classes=3)
    saved: list[Tensor] = []

    def keep(tensor: Tensor) -> Tensor:
        saved.append(tensor)
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
        balanced_contrastive(features, labels, reduction="sum")
    assert sum(tensor.numel() for tensor in saved) == features.numel()


def test_a_feature_that_is_not_a_number_is_not_hidden() -> None:
    features = unit(6, 3)
    features[0, 0] = torch.nan
    assert balanced_contrastive(features, torch.tensor([0, 0, 0, 1, 1, 1])).isnan()


def test_module_and_function_agree() -> None:
    features, labels = unit(2, 12, 3), some_labels(2, 12, classes=3)
    module = BalancedContrastiveLoss(temperature=0.4, reduction="none", ignore_index=1, divide_by="pixels")
    assert module(features, labels).equal(balanced_contrastive(features, labels, 0.4, "none", 1, "pixels"))


@pytest.mark.parametrize(
    ("features", "labels", "arguments", "message"),
    [
        (torch.ones(4), torch.zeros(4).long(), {}, r"features must be \(n, d\) or \(g, n, d\), got \(4,\)"),
        (torch.ones(4, 2), torch.zeros(3).long(), {}, r"labels must be \(4,\).*got \(3,\)"),
        (torch.ones(2, 4, 2), torch.zeros(4).long(), {}, r"labels must be \(2, 4\).*got \(4,\)"),
        (torch.ones(4, 2).long(), torch.zeros(4).long(), {}, r"features must be floating point, got torch.int64"),
        (torch.ones(4, 2), torch.zeros(4), {}, r"labels must be integers, got torch.float32; use labels.long\(\)"),
        (torch.ones(4, 2), torch.zeros(4).long(), {"temperature": 0.0}, "temperature must be positive, got 0.0"),
        (torch.ones(4, 2), torch.zeros(4).long(), {"temperature": math.nan}, "temperature must be positive, got nan"),
        (torch.ones(4, 2), torch.zeros(4).long(), {"reduction": "max"}, "'mean', 'sum' or 'none', got 'max'"),
        (torch.ones(4, 2), torch.zeros(4).long(), {"divide_by": "all"}, r"\('anchors', 'pixels'\), got 'all'"),
    ],
)
def test_unusable_arguments_are_named(
    features: Tensor, labels: Tensor, arguments: dict[str, float | str], message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        balanced_contrastive(features, labels, **arguments)
