"""The training engine that every method shares, and what steers it over time."""

from fewlabel.engines.distributed import distribute, local_device, start_processes
from fewlabel.engines.evaluation import Evaluation
from fewlabel.engines.schedules import PolynomialWarmup
from fewlabel.engines.segmentation import Segmentation
from fewlabel.engines.trainer import SemiSupervisedTrainer
from fewlabel.engines.weights import Constant, GaussianRamp

__all__ = [
    "Constant",
    "Evaluation",
    "GaussianRamp",
    "PolynomialWarmup",
    "Segmentation",
    "SemiSupervisedTrainer",
    "distribute",
    "local_device",
    "start_processes",
]
