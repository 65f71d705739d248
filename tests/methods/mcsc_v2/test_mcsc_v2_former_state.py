from __future__ import annotations

import torch

from fewlabel.methods import MCSCv2
from fewlabel.networks import SwinUnet, UNet


def test_a_state_from_before_the_losses_were_renamed_is_taken_over_whole() -> None:
    one, other = (MCSCv2(UNet(), SwinUnet(img_size=32)) for _ in range(2))
    state = {name.replace("contrastive_losses.", "contrasts."): value for name, value in one.state_dict().items()}
    assert any(name.startswith("contrasts.") for name in state)
    other.load_state_dict(state)
    assert all(torch.equal(value, one.state_dict()[name]) for name, value in other.state_dict().items())
