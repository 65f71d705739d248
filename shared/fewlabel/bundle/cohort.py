"""Which cases a bundle trains on: a dataset's, the demo's, or those that a host brings."""

from __future__ import annotations

import logging
import os
from collections.abc import Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

from fewlabel.bundle.metadata import promised_classes
from fewlabel.bundle.model_note import read_note
from fewlabel.conventions.augmentation import is_strong
from fewlabel.conventions.sides import sided_labels
from fewlabel.data import Cohort
from fewlabel.data.files.formats import split_ending
from fewlabel.data.files.volumes import image_files, read_header
from fewlabel.data.phantoms.cohort import write_phantom
from fewlabel.parsing import parse_bool

_log = logging.getLogger(__name__)
Items = Sequence[Mapping[str, Any]]


class BundleCohort:
    """The cohort of a bundle's ``dataset_dir``, opened when first asked for.

    Without a dataset of its own a bundle demonstrates itself on a phantom, which is written to ``demo_dir`` when first
    needed. A host such as MONAI Label replaces the labeled items and knows nothing of the rest; then neither the
    phantom's unlabeled cases nor the demo's settings may touch what it brings, which is why both are tied to the
    labeled items that are really in use.

    Args:
        dataset_dir: the dataset's folder, in the layout of :class:`fewlabel.data.Cohort`.
        demo_dir: where the phantom lies; the demo runs when ``dataset_dir`` is this folder.
        labeled_cases: use the labels of the first N cases only; None for all (the demo's are three).
        seed: for cohorts without a published split.
        demo_labeled_cases: labeled cases of the demo.
        phantom: what the demo draws, see :func:`fewlabel.data.phantoms.cohort.write_phantom`.
        fold: of nnU-Net's ``splits_final.json``, see :class:`fewlabel.data.Cohort`.

    Raises:
        FileNotFoundError: the dataset is not there.
        ValueError: the dataset has one of the faults that :class:`fewlabel.data.Cohort` finds.
    """

    def __init__(
        self,
        dataset_dir: str | os.PathLike[str],
        demo_dir: str | os.PathLike[str],
        labeled_cases: int | None = None,
        seed: int = 0,
        demo_labeled_cases: int = 3,
        phantom: str = "cardiac",
        fold: int | None = None,
    ) -> None:
        if not dataset_dir:
            raise ValueError("dataset_dir is empty; name the dataset's folder, or leave it out to run the demo")
        self.dataset_dir = Path(dataset_dir).resolve()
        self.demo_dir = Path(demo_dir).resolve()
        self.labeled_cases = labeled_cases
        self.seed = seed
        self.fold = fold
        self.demo_labeled_cases = demo_labeled_cases
        self.phantom = phantom

    @property
    def is_demo(self) -> bool:
        """Whether ``dataset_dir`` is the demo's phantom."""
        return self.dataset_dir == self.demo_dir

    @cached_property
    def cohort(self) -> Cohort:
        """The cohort, read and checked."""
        labeled_cases = self.labeled_cases
        if self.is_demo:
            write_phantom(self.demo_dir, self.phantom)
            labeled_cases = self.demo_labeled_cases if labeled_cases is None else labeled_cases
        cohort = Cohort(self.dataset_dir, labeled_cases, self.seed, self.fold)
        for note in cohort.notes:
            _log.warning("%s: %s", self.dataset_dir, note)
        _log.info(
            "%s: %d labeled and %d unlabeled volumes for training, %d for validation, %d for test",
            self.dataset_dir,
            *(len(items) for items in (cohort.labeled, cohort.unlabeled, cohort.validation, cohort.test)),
        )
        return cohort

    def count_classes(
        self, labeled: Items, bundle_root: str | os.PathLike[str], ckpt_dir: str | os.PathLike[str]
    ) -> int:
        """Return the number of classes, with the background, of these labeled items.

        The dataset's are named in ``dataset.json``. A host brings items without names: then it is the number of the
        weights in ``ckpt_dir``, from which its training goes on, else that of the bundle's ``metadata.json``, whose
        names the host shows.

        Raises:
            ValueError: the metadata are asked, and do not tell it.
        """
        if self._are_own(labeled):
            return self.cohort.num_classes
        note = Path(ckpt_dir) / "model.json"
        noted = read_note(note).get("num_classes") if note.is_file() else None
        return noted if isinstance(noted, int) else promised_classes(bundle_root)

    def count_channels(self, labeled: Items) -> int:
        """Return the number of channels of these items' images: of a host's items the first one's.

        Raises:
            FileNotFoundError: that image does not exist.
            ValueError: it can't be read.
        """
        if self._are_own(labeled):
            return self.cohort.in_channels
        files = image_files(labeled[0]["image"])
        if any(split_ending(file.name) is None for file in files):
            return 1  # a DICOM series
        return len(files) if len(files) > 1 else read_header(files[0]).channels

    def _check_counts(self, num_classes: int, in_channels: int) -> None:
        """Refuse a number that was set by hand and is not the dataset's."""
        names = {"num_classes": [*self.cohort.labels.values()], "in_channels": [*self.cohort.channels]}
        what = {"num_classes": "classes with the background", "in_channels": "channels"}
        for key, wanted in (("num_classes", num_classes), ("in_channels", in_channels)):
            if wanted != len(names[key]):
                found = f"{len(names[key])} {what[key]} ({', '.join(names[key])})"
                raise ValueError(
                    f"{self.dataset_dir}: the data set has {found}, but the network is built for {wanted}: set "
                    f"--{key} {len(names[key])}, or leave it out"
                )

    def ignored_value(self, labeled: Items) -> int | None:
        """Return the label value of voxels that nobody annotated: the dataset's for its own items, none for others."""
        return self.cohort.ignored if self._are_own(labeled) else None

    @property
    def labeled(self) -> Items:
        """Labeled items for training."""
        return self.cohort.labeled

    @property
    def validation(self) -> Items:
        """Items for validation, with labels."""
        return self.cohort.validation

    def scored(self, split: str) -> Items:
        """Return the items to score: "test", "validation", or "auto" for test where there is one, else validation.

        Raises:
            ValueError: an unknown split, or one without cases.
        """
        if split not in ("auto", "test", "validation"):
            raise ValueError(f'split must be "auto", "test" or "validation", got {split!r}')
        chosen = ("test" if self.cohort.test else "validation") if split == "auto" else split
        items = self.cohort.test if chosen == "test" else self.cohort.validation
        if not items:
            raise ValueError(f"{self.dataset_dir} has no labeled {chosen} case to score; list some in splits.json")
        _log.info("scoring the %d volumes of the %s split", len(items), chosen)
        return items

    def split_of(self, items: Items) -> str:
        """Return which split these items with labels are: "test" for the dataset's test cases, else "validation"."""
        return "test" if items and self._are_own(items) and list(items) == list(self.cohort.test) else "validation"

    def uses_demo(self, labeled: Items) -> bool:
        """Return whether these labeled items, all of them, are the demo's."""
        return len(labeled) > 0 and all(self._below(item, self.demo_dir) for item in labeled)

    def settings(
        self,
        labeled: Items,
        paper: Mapping[str, Any],
        demo: Mapping[str, Any],
        ckpt_dir: str | os.PathLike[str],
        num_classes: int,
        in_channels: int = 1,
        **others: Any,
    ) -> Mapping[str, Any]:
        """Return the settings to train with: the paper's for a dataset, the demo's for the phantom.

        A host's training goes on from the weights in ``ckpt_dir``, and the host's own copy of the network stays built
        as those were: their note, see :func:`fewlabel.bundle.training_settings`, decides which of the two fits.

        Args:
            labeled: the labeled items in use.
            paper: the paper's settings.
            demo: the demo's.
            ckpt_dir: folder of the weights.
            num_classes: what the network tells apart, the background included.
            in_channels: what it sees of a voxel.
            others: settings that both have in common, by name; they are returned with the rest.

        Raises:
            ValueError: a host goes on from weights that were trained with neither, or the dataset has other numbers of
                classes or channels than the network.
        """
        if self._are_own(labeled):
            self._check_counts(num_classes, in_channels)
        if others:
            paper, demo = {**paper, **others}, {**demo, **others}
        if self.uses_demo(labeled):
            return demo
        note = Path(ckpt_dir) / "model.json"
        if not note.is_file() or self._are_own(labeled):
            return paper
        trained = {"in_channels": 1, **read_note(note)}
        now = {"num_classes": num_classes, "in_channels": in_channels}
        for settings in (paper, demo):
            if all({**settings, **now}.get(key) == value for key, value in trained.items()):
                if settings is demo:
                    _log.warning("%s: going on with the demo's settings, as these weights were trained with them", note)
                return settings
        places = ", ".join(f'"{key}"' for key in [*now, *others, "paper"])
        wanted = {key: {**paper, **now}.get(key) for key in trained}
        raise ValueError(
            f"{note}: the weights beside it were trained with {trained}, but this training goes on from them with "
            f"{wanted}; write their values into train.json ({places}), or take the weights away to start "
            "afresh"
        )

    def mirrors(
        self, labeled: Items, num_classes: int, mirror: bool | str = "auto", augmentation: str = "published"
    ) -> bool:
        """Return whether augmentation may mirror images, which exchanges left and right.

        Args:
            labeled: the labeled items in use.
            num_classes: their number of classes, the background included.
            mirror: "auto" for unless a label names a side of the body, see
                :func:`fewlabel.conventions.sides.sided_labels`; true or
                false.
            augmentation: "published", or "strong", which does not mirror by itself: "auto" means false.

        Raises:
            ValueError: ``mirror`` or ``augmentation`` is none of these.
        """
        if str(mirror).lower() in ("true", "false"):
            return parse_bool(mirror)
        if mirror != "auto":
            raise ValueError(f'mirror must be "auto", true or false, got {mirror!r}')
        if is_strong(augmentation):
            return False
        sided = sided_labels(self.names(labeled, num_classes).values())
        if sided:
            _log.warning(
                "%s name sides of the body: images are not mirrored, which would swap left and right; --mirror true "
                "mirrors them nevertheless",
                ", ".join(sided),
            )
        return not sided

    def unlabeled_beside(self, labeled: Items) -> Items:
        """Return the cohort's unlabeled items if the labeled ones are the cohort's, none otherwise."""
        if not labeled or not self._are_own(labeled):
            _log.info("the labeled cases are not those of %s: training without its unlabeled ones", self.dataset_dir)
            return []
        taken = {image_files(item["image"])[0].resolve() for item in labeled}
        return [item for item in self.cohort.unlabeled if image_files(item["image"])[0].resolve() not in taken]

    def names(self, items: Items, num_classes: int) -> dict[int, str]:
        """Return the class names by value: the dataset's for its own items, numbers for any other."""
        if self._are_own(items):
            return self.cohort.labels
        return {0: "background", **{value: f"class {value}" for value in range(1, num_classes)}}

    def _are_own(self, items: Items) -> bool:
        return all(self._below(item, self.dataset_dir) for item in items)

    @staticmethod
    def _below(item: Mapping[str, Any], folder: Path) -> bool:
        # by name or by where it really lies: many datasets are folders of links
        image = Path(os.path.abspath(image_files(item["image"])[0]))
        return image.is_relative_to(folder) or image.resolve().is_relative_to(folder)
