"""The training engine that every method shares, and what steers it over time."""

from fewlabel.engines.distributed import init_distributed, local_device, wrap_ddp
from fewlabel.engines.evaluator import CheckpointEvaluator
from fewlabel.engines.loss_weights import Constant, GaussianRamp
from fewlabel.engines.mixed_precision_evaluator import MixedPrecisionEvaluator
from fewlabel.engines.schedules import PolynomialWarmup
from fewlabel.engines.segmenter import Segmenter
from fewlabel.engines.trainer import SemiSupervisedTrainer

__all__ = [
    "CheckpointEvaluator",
    "Constant",
    "GaussianRamp",
    "MixedPrecisionEvaluator",
    "PolynomialWarmup",
    "Segmenter",
    "SemiSupervisedTrainer",
    "init_distributed",
    "local_device",
    "wrap_ddp",
]
