from __future__ import annotations

import math

import pytest
import torch

from fewlabel.losses import supervised_loss
from helpers.oracles import published_dice


def test_the_supervised_loss_is_half_cross_entropy_and_half_dice() -> None:
    logits, label = torch.randn(2, 3, 5, 5), torch.randint(3, (2, 1, 5, 5))
    probabilities = logits.softmax(1)
    own = probabilities.gather(1, label).flatten().tolist()
    entropy = sum(-math.log(p) for p in own) / len(own)

    expected = 0.5 * entropy + 0.5 * published_dice(probabilities, label)
    assert float(supervised_loss()(logits, label)) == pytest.approx(expected, abs=1e-5)
