from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor

from fewlabel.losses import supervised_loss
from fewlabel.methods import CrossConsistencyTraining
from fewlabel.networks import DecodersUNet, UNet


def network(decoders: int = 4, **options: Any) -> DecodersUNet:
    torch.manual_seed(0)
    return DecodersUNet(
        num_classes=3,
        channels=(4, 8),
        dropout=(0.0, 0.0),
        norm="instance",
        upsamples=["bilinear"] * decoders,
        **options,
    )


def batch(unlabeled: int = 2) -> dict[str, dict[str, Tensor] | None]:
    torch.manual_seed(1)
    labeled = {"image": torch.rand(1, 1, 8, 8), "label": torch.randint(3, (1, 1, 8, 8))}
    return {"labeled": labeled, "unlabeled": {"image": torch.rand(unlabeled, 1, 8, 8)} if unlabeled else None}


def equal_decoders() -> DecodersUNet:
    equal = network()
    for decoder in equal.decoders[1:]:
        decoder.load_state_dict(equal.decoders[0].state_dict())
    return equal


def test_equal_decoders_are_consistent_unless_their_features_are_perturbed() -> None:
    method = CrossConsistencyTraining(equal_decoders(), noise=0.0, dropout=0.0, attention=(1.0, 1.0))
    method._perturb[2] = method._perturb[0]  # a share of 1 still drops the maximum itself
    assert float(method(batch())["consistency"]) == 0
    for name in ("noise", "dropout", "attention"):
        one = CrossConsistencyTraining(equal_decoders(), perturbations=[name] * 3)
        assert float(one(batch())["consistency"]) > 1e-6
        assert float(one.eval()(batch())["consistency"]) == 0, "features are perturbed in training alone"


@pytest.mark.parametrize("main", [0, 2])
def test_the_terms_are_the_literal_means_over_the_decoders(main: int) -> None:
    method = CrossConsistencyTraining(network(inference_decoder=main)).eval()
    data = batch()
    terms = method(data)
    images = torch.cat([data["labeled"]["image"], data["unlabeled"]["image"]])
    outputs = [logits.detach() for logits in method.network.outputs(images)]
    supervised = [supervised_loss()(logits[:1], data["labeled"]["label"]) for logits in outputs]
    assert float(terms["supervised"]) == pytest.approx(sum(float(one) for one in supervised) / 4, abs=1e-6)
    total = 0.0
    target = outputs[main][1:].softmax(dim=1).flatten().tolist()
    for other in (logits for number, logits in enumerate(outputs) if number != main):
        probabilities = other[1:].softmax(dim=1).flatten().tolist()
        squares = [(p - q) ** 2 for p, q in zip(target, probabilities, strict=True)]
        total += sum(squares) / len(squares) / 3
    assert float(terms["consistency"]) == pytest.approx(total, rel=1e-4)


@pytest.mark.parametrize("detached", [False, True])
def test_the_main_decoder_learns_from_the_consistency_unless_it_is_detached(detached: bool) -> None:
    method = CrossConsistencyTraining(network(), detach_targets=str(detached).lower())  # type: ignore[arg-type]
    method(batch())["consistency"].backward()
    learns = [decoder.head.weight.grad is not None for decoder in method.network.decoders]
    assert learns == [not detached, True, True, True]
    assert method.network.encoder[0][0].conv.weight.grad is not None


def test_a_seed_decides_the_perturbations() -> None:
    method, data = CrossConsistencyTraining(network()), batch()
    values = []
    for seed in (3, 3, 4):
        torch.manual_seed(seed)
        values.append(float(method(data)["consistency"]))
    assert values[0] == values[1] != values[2]


def test_without_unlabeled_images_there_is_nothing_to_agree_on() -> None:
    terms = CrossConsistencyTraining(network())(batch(unlabeled=0))
    assert float(terms["consistency"]) == 0
    assert float(terms["supervised"]) > 0


@pytest.mark.parametrize(
    ("decoders", "options", "message"),
    [
        (4, {"noise": -0.1}, "noise must be 0 or more, got -0.1"),
        (4, {"dropout": 1.0}, r"dropout is a probability in \[0, 1\), got 1.0"),
        (4, {"attention": (0.9, 0.7)}, r"two rising shares of the maximum in \[0, 1\], got \(0.9, 0.7\)"),
        (4, {"perturbations": ["noise", "cutout", "dropout"]}, r"must be of \['attention', .*, got \['cutout'\]"),
        (3, {}, "3 perturbations .* DecodersUNet has 3 decoders"),
        (2, {"perturbations": []}, "0 perturbations"),
    ],
)
def test_what_does_not_fit_is_an_error(decoders: int, options: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        CrossConsistencyTraining(network(decoders), **options)


def test_a_network_of_one_decoder_is_refused() -> None:
    with pytest.raises(ValueError, match="UNet has 0 decoders"):
        CrossConsistencyTraining(UNet(channels=(4, 4), dropout=(0.0, 0.0)))  # type: ignore[arg-type]
