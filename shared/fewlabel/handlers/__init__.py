"""What happens around the training steps, as Ignite handlers."""

from fewlabel.handlers.collapse import CollapseAlarm
from fewlabel.handlers.counted import counted_pairs
from fewlabel.handlers.history import JsonlLogger, read_history
from fewlabel.handlers.model_saver import ModelSaver, is_better, load_network
from fewlabel.handlers.network_scores import NetworkScores
from fewlabel.handlers.processes import is_main_process
from fewlabel.handlers.progress import Progress
from fewlabel.handlers.start_weights import StartWeights
from fewlabel.handlers.strict_mean_dice import StrictMeanDice
from fewlabel.handlers.terms import step_scalars
from fewlabel.handlers.training_state import TrainingState

__all__ = [
    "CollapseAlarm",
    "JsonlLogger",
    "ModelSaver",
    "NetworkScores",
    "Progress",
    "StartWeights",
    "StrictMeanDice",
    "TrainingState",
    "counted_pairs",
    "is_better",
    "is_main_process",
    "load_network",
    "read_history",
    "step_scalars",
]
