"""A whole training with everything that has a state, small enough to take milliseconds an epoch.

Batch normalization, dropout, two parameter groups with different warm-ups, a ramp, two data streams with random
augmentation, validation, history, both checkpoints and the training's state.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from ignite.engine import Events
from monai.data import DataLoader, Dataset
from monai.handlers import ValidationHandler
from monai.transforms import AsDiscreted
from monai.utils import set_determinism
from torch import Tensor, nn

from fewlabel.data import TwoStreamLoader
from fewlabel.engines import GaussianRamp, MixedPrecisionEvaluator, PolynomialWarmup, SemiSupervisedTrainer
from fewlabel.handlers import JsonlLogger, ModelSaver, NetworkScores, StrictMeanDice, TrainingState, is_better
from fewlabel.methods.base import Batch, Method, labeled_part, unlabeled_images


class Pictures(torch.utils.data.Dataset[dict[str, Any]]):
    """Random pictures; the noise of an item depends on the seed it is asked with."""

    def __init__(self, number: int, labeled: bool, size: int = 5) -> None:
        generator = torch.Generator().manual_seed(number)
        self.images = torch.rand(number, 1, size, size, generator=generator)
        self.labeled, self.data = labeled, self.images  # of each volume a slice, as it were

    def __len__(self) -> int:
        return len(self.images)

    def __getitem__(self, index: tuple[int, int]) -> dict[str, Any]:
        number, seed = index
        noise = torch.rand(self.images.shape[1:], generator=torch.Generator().manual_seed(seed))
        item = {"image": self.images[number] + 0.1 * noise, "number": number, "seed": seed}
        return {**item, "label": (self.images[number] > 0.5).float()} if self.labeled else item


class Noisy(Method):
    """Cross-entropy on the labeled pictures; agreement of two mirrored views on the unlabeled ones."""

    def __init__(self, dropout: float = 0.3, norm: bool = True, hidden: int = 4) -> None:
        super().__init__()
        self.network = nn.Sequential(
            nn.Conv2d(1, hidden, 3, padding=1),
            nn.BatchNorm2d(hidden) if norm else nn.Identity(),
            nn.Dropout(dropout),
            nn.Conv2d(hidden, 2, 1),
        )
        self.scale = nn.Sequential(nn.Conv2d(2, 2, 1))

    def forward(self, batch: Batch, progress: float = 0.0) -> dict[str, Tensor]:
        labeled, unlabeled = labeled_part(batch), unlabeled_images(batch)
        assert unlabeled is not None
        logits = self.scale(self.network(labeled["image"]))
        first, second = self.network(unlabeled), self.network(unlabeled.flip(-1)).flip(-1)
        return {
            "supervised": nn.functional.cross_entropy(logits, labeled["label"][:, 0].long()),
            "agreement": (first - second).square().mean(),
        }


def evaluator(network: nn.Module, cases: int = 2, amp: str = "off") -> MixedPrecisionEvaluator:
    """Validate on some pictures with MONAI's mean Dice."""
    generator = torch.Generator().manual_seed(99)
    images = torch.rand(cases, 1, 5, 5, generator=generator)
    items = [{"image": image, "label": (image > 0.5).float()} for image in images]
    return MixedPrecisionEvaluator(
        device=torch.device("cpu"),
        val_data_loader=DataLoader(Dataset(items), batch_size=1),
        network=network,
        postprocessing=AsDiscreted(keys=["pred", "label"], argmax=[True, False], to_onehot=2),
        key_val_metric={"val_mean_dice": StrictMeanDice()},
        metric_cmp_fn=is_better,
        amp=amp,
    )


def training(
    folder: Path,
    resume: bool = False,
    *,
    epochs: int = 4,
    steps_per_epoch: int = 3,
    num_workers: int = 0,
    seed: int = 0,
    method: nn.Module | None = None,
    interval: int = 1,
    more_handlers: Sequence[Any] = (),
    batch_size: int = 2,
    wrap: Any = None,
    resume_changed: bool = False,
    rate: float = 0.05,
    peak: float = 0.5,
    settings: Mapping[str, Any] | None = None,
    both_networks: bool = False,
    amp: str = "off",
) -> SemiSupervisedTrainer:
    """Return the training, as a bundle would put it together; its files go to ``folder``."""
    set_determinism(seed)
    method = Noisy() if method is None else method
    # names its groups as the bundles do
    optimizer = torch.optim.AdamW(method.parameter_groups(network=rate, scale=0.02), weight_decay=0.01)
    schedule = PolynomialWarmup(optimizer, epochs * steps_per_epoch, warmup={"scale": 0.5})
    loader = TwoStreamLoader(
        Pictures(5, labeled=True),
        Pictures(7, labeled=False),
        batch_size,
        batch_size,
        steps_per_epoch,
        seed,
        num_workers,
    )
    validator = evaluator(method.network, amp=amp)
    others = [NetworkScores(validator, method.networks())] if both_networks else []
    return SemiSupervisedTrainer(
        device="cpu",
        max_epochs=epochs,
        train_data_loader=loader,
        method=method if wrap is None else wrap(method),
        optimizer=optimizer,
        weights={"supervised": 1.0, "agreement": GaussianRamp(peak, length=0.8)},
        lr_scheduler=schedule,
        amp=amp,
        train_handlers=[
            ValidationHandler(interval=1, validator=validator),
            *others,
            JsonlLogger(folder / "history.jsonl", validator),
            ModelSaver(method.network, folder, validator, settings={"size": 5}, networks=method.networks()),
            *more_handlers,
            TrainingState(folder / "training_state.pt", validator, resume, interval, resume_changed, settings),
        ],
    )


class StopAfter:
    """Interrupt the training right behind a step, as Ctrl-C would."""

    def __init__(self, step: int) -> None:
        self.step = step

    def attach(self, engine: Any) -> None:
        engine.add_event_handler(Events.ITERATION_COMPLETED, self)

    def __call__(self, engine: Any) -> None:
        if engine.state.iteration == self.step:
            raise KeyboardInterrupt


class Recorder:
    """Note what each step saw."""

    def __init__(self) -> None:
        self.steps: list[Any] = []

    def attach(self, engine: Any) -> None:
        engine.add_event_handler(Events.ITERATION_COMPLETED, self)

    def __call__(self, engine: Any) -> None:
        batch = engine.state.batch
        self.steps.append(
            {
                "step": engine.state.iteration,
                "labeled": list(zip(batch["labeled"]["number"], batch["labeled"]["seed"], strict=True)),
                "unlabeled": list(zip(batch["unlabeled"]["number"], batch["unlabeled"]["seed"], strict=True)),
                "loss": float(engine.state.output[0]["loss"]),
                "weights": dict(engine.state.weights),
                "rates": [group["lr"] for group in engine.optimizers[0].param_groups],
            }
        )


def differences(first: Any, second: Any, where: str = "") -> list[str]:
    """Return the places where two nested states are not equal bit by bit."""
    if isinstance(first, Tensor):
        same = isinstance(second, Tensor) and first.dtype == second.dtype and torch.equal(first, second)
        return [] if same else [where]
    if isinstance(first, dict) and isinstance(second, dict):
        keys = sorted(first.keys() | second.keys(), key=str)
        return [d for k in keys for d in differences(first.get(k), second.get(k), f"{where}/{k}")]
    if isinstance(first, (list, tuple)) and isinstance(second, (list, tuple)):
        if len(first) != len(second):
            return [where]
        return [
            d for i, (a, b) in enumerate(zip(first, second, strict=True)) for d in differences(a, b, f"{where}/{i}")
        ]
    return [] if first == second else [f"{where}: {first!r} != {second!r}"]
