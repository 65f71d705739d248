from __future__ import annotations

import pytest
import torch

from fewlabel.losses import hard_labels, pseudo_label_loss
from helpers.oracles import published_dice


def test_the_pseudo_label_loss_is_the_published_dice_over_the_whole_batch() -> None:
    logits, label = torch.randn(3, 4, 5, 5), torch.randint(4, (3, 1, 5, 5))

    assert float(pseudo_label_loss()(logits, label)) == pytest.approx(
        published_dice(logits.softmax(1), label), abs=1e-5
    )


def test_hard_labels_are_the_most_probable_classes_without_a_gradient() -> None:
    logits = torch.tensor([[[[0.0, 3.0]], [[1.0, 2.0]], [[-1.0, 4.0]]]], requires_grad=True)

    labels = hard_labels(logits)

    assert labels.tolist() == [[[[1, 2]]]]
    assert not labels.requires_grad
