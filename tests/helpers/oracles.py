"""Formulas written out, slowly, to compare with."""

from __future__ import annotations

import torch


def published_dice(probabilities: torch.Tensor, label: torch.Tensor) -> float:
    """Dice loss of SSL4MIS, pixel by pixel."""
    classes, losses = probabilities.shape[1], []
    for c in range(classes):
        p = [float(v) for v in probabilities[:, c].flatten()]
        g = [float(v == c) for v in label.flatten()]
        overlap, p2, g2 = (sum(a * b for a, b in zip(u, v, strict=True)) for u, v in ((p, g), (p, p), (g, g)))
        losses.append(1 - (2 * overlap + 1e-5) / (p2 + g2 + 1e-5))
    return sum(losses) / classes
