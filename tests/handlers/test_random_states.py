from __future__ import annotations

import random

import numpy as np
import torch

from fewlabel.handlers.random_states import random_states, restore_random_states


def test_all_generators_are_put_back() -> None:
    def draw() -> list[float]:
        return [random.random(), float(np.random.rand()), float(np.random.randn()), float(torch.rand(()))]

    np.random.randn()  # a second normal number is cached: part of the state
    states = random_states()
    drawn = draw()
    draw()
    restore_random_states(states)
    assert draw() == drawn
