from __future__ import annotations

import io

import numpy as np
import pytest
from matplotlib.figure import Figure
from matplotlib.image import imread

from fewlabel.reports import CaseView

LABELS = {0: "background", 1: "heart <left>", 2: "liver & $x$"}


@pytest.fixture(scope="session")
def case_view():
    def make(volume="patient001", rank="worst", dice=0.5, shape=(40, 30, 6), labeled=(1, 5), **changes):
        random = np.random.default_rng(0)
        reference, prediction = np.zeros((2, *shape), dtype=np.uint8)
        low, high = labeled
        reference[10:20, 8:18, low:high] = 1
        reference[22:28, 8:18, low:high] = 2
        prediction[12:22, 8:18, low:high] = 1
        view = {"volume": volume, "rank": rank, "dice": dice, "image": random.random(shape), "prediction": prediction}
        view |= {"reference": reference, "spacing": (1.0, 2.0, 8.0), "labels": LABELS}
        return CaseView(**(view | changes))

    return make


@pytest.fixture
def pixels():
    def draw(figure: Figure) -> np.ndarray:
        buffer = io.BytesIO()
        figure.savefig(buffer, format="png", dpi=100)
        buffer.seek(0)
        return imread(buffer)[..., :3]

    return draw
