"""What a training run of given settings costs on this machine."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class StepCost:
    """Measured costs of one setting, in seconds and MiB.

    Args:
        step: seconds of a training step, loading and augmentation included.
        computing: of them, seconds in which the process computes; less than ``step`` where others share the machine.
        validation: seconds to segment and score a validation volume.
        preparation: seconds to preprocess a volume.
        start: seconds until the training run has its networks.
        memory: the largest memory of the process, in MiB.
        gpu_memory: the largest memory on the GPU, in MiB; 0 without one.
        device: where it was measured, "cpu" or the GPU's name.
    """

    step: float
    computing: float
    validation: float
    preparation: float
    start: float
    memory: float
    gpu_memory: float
    device: str

    @property
    def is_disturbed(self) -> bool:
        """Whether a step on the CPU took more than half as long again as it computed."""
        return self.device == "cpu" and self.step > 1.5 * self.computing
