"""Find the files of a dataset: nnU-Net's folders (v1, v2) and the Medical Segmentation Decathlon's."""

from __future__ import annotations

import os
import re
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from fewlabel.data.checks.problems import Problem
from fewlabel.data.files.formats import ENDINGS, split_ending
from fewlabel.data.layout.dataset_json import MINIMAL, read_json, read_labels

_CHANNEL = re.compile(r"(.+)_(\d{4})$")


@dataclass(frozen=True)
class Volume:
    """One scan: its name, its image, and its label map if there is one.

    Args:
        name: the file's name without ending and without nnU-Net's channel suffix `_0000`.
        image: the scan.
        label: the label map; None when unlabeled.
        training: it lies in `imagesTr`, not in `imagesTs`.

    """

    name: str
    image: Path
    label: Path | None
    training: bool


@dataclass
class Layout:
    """What lies in a dataset's folder; no image is opened to find it.

    Args:
        root: the folder, absolute.
        labels: label names by value; empty when `dataset.json` is missing or wrong.
        volumes: by name, in alphabetical order.
        problems: everything wrong with the names and `dataset.json`.

    """

    root: Path
    labels: dict[int, str] = field(default_factory=dict)
    volumes: dict[str, Volume] = field(default_factory=dict)
    problems: list[Problem] = field(default_factory=list)

    def error(self, kind: str, message: str, volume: str = "") -> None:
        """Note an error."""
        self.problems.append(Problem("error", kind, message, volume))


def read_layout(root: str | os.PathLike[str]) -> Layout:
    """Find images, label maps and label names under a folder.

    An image is paired with the label map of the same name: `imagesTr/a.nii.gz` or `imagesTr/a_0000.nii.gz` with
    `labelsTr/a.nii.gz`; the endings may differ. Pairs of other names can stand in the Decathlon's `training` list in
    `dataset.json`. An image without a label map is unlabeled. Hidden files are skipped.

    Raises:
        FileNotFoundError: the folder does not exist.
        NotADirectoryError: it is a file.

    """
    folder = Path(os.path.abspath(Path(root).expanduser()))
    if folder.is_file():
        raise NotADirectoryError(f"the dataset {folder} is a file; expected a folder: unpack it first")
    if not folder.is_dir():
        raise FileNotFoundError(
            f"the dataset folder {folder} does not exist: expected one with imagesTr, labelsTr and dataset.json"
        )
    layout = Layout(folder)
    content = _read_description(layout)
    pairs = _read_training_list(layout, content.get("training", []))
    numbered = _is_numbered(layout.root, pairs)
    _pair(layout, "Tr", pairs, numbered)
    _pair(layout, "Ts", {}, numbered)
    if not any(volume.training for volume in layout.volumes.values()):
        layout.error("no images", f"{folder / 'imagesTr'} holds no image: {_what_else(folder / 'imagesTr')}")
    layout.volumes = dict(sorted(layout.volumes.items()))
    return layout


def _read_description(layout: Layout) -> dict[str, Any]:
    path = layout.root / "dataset.json"
    if not path.is_file():
        layout.error(
            "no dataset.json", f"{path} does not exist: it names the label values; write for instance {MINIMAL}"
        )
        return {}
    try:
        content = read_json(path)
    except ValueError as error:
        layout.error("dataset.json", str(error))
        return {}
    try:
        layout.labels = read_labels(path, content)
    except ValueError as error:
        layout.error("dataset.json", str(error))
    channels = content.get("channel_names", content.get("modality", {}))
    if isinstance(channels, dict) and len(channels) > 1:
        layout.error(
            "channels",
            f"{path} names {len(channels)} channels ({', '.join(map(str, channels.values()))}); "
            "fewlabel reads one: keep one channel per dataset",
        )
    return content


def _read_training_list(layout: Layout, entries: object) -> dict[Path, Path]:
    """The Decathlon's explicit pairs, label map by image."""
    path, pairs = layout.root / "dataset.json", {}
    for entry in entries if isinstance(entries, list) else []:
        if not isinstance(entry, dict) or not isinstance(entry.get("image"), str) or not entry.get("label"):
            layout.error(
                "dataset.json", f'{path} has the "training" entry {entry}; expected {{"image": ..., "label": ...}}'
            )
            continue
        image, label = (Path(os.path.normpath(layout.root / str(entry[key]))) for key in ("image", "label"))
        if not image.is_file():  # nnU-Net v1 lists the image without its channel suffix
            stem, ending = split_ending(image.name) or (image.stem, image.suffix)
            image = (
                image.with_name(f"{stem}_0000{ending}") if image.with_name(f"{stem}_0000{ending}").is_file() else image
            )
        missing = [str(file) for file in (image, label) if not file.is_file()]
        if missing:
            layout.error(
                "missing file",
                f'{path} lists {missing[0]} under "training", which does not exist: copy it, or remove the entry',
            )
        else:
            pairs[image] = label
    return pairs


def _pair(layout: Layout, suffix: str, pairs: dict[Path, Path], numbered: bool) -> None:
    """Join images and label maps of one half, `Tr` or `Ts`, by their names."""
    labels = _by_name(layout, ((_stem(file), file) for file in _files(layout.root / f"labels{suffix}")))
    images = _images(layout, layout.root / f"images{suffix}", set(pairs), numbered)
    for image, label in pairs.items():
        name = _stem(label)
        if name in images and images[name] != image:
            layout.error(
                "duplicate", f"{images[name]} and {image} are both volume {name!r}: rename or remove one", name
            )
        images[name] = image
        labels[name] = label
    for name, image in images.items():
        if name in layout.volumes:
            layout.error(
                "duplicate",
                f"volume {name!r} is both {layout.volumes[name].image} and {image}: rename or remove one",
                name,
            )
        layout.volumes.setdefault(name, Volume(name, image, labels.pop(name, None), suffix == "Tr"))
    for name, label in labels.items():
        if label not in pairs.values():
            layout.error(
                "no image",
                f"{label} has no image: expected {layout.root / f'images{suffix}' / label.name}; rename it like its "
                "image, or remove it",
                name,
            )


def _files(folder: Path) -> list[Path]:
    """The image files of a folder; a broken link counts, so that its scan or label map is missed, not skipped."""
    if not folder.is_dir():
        return []
    return sorted(file for file in folder.iterdir() if split_ending(file.name) and not file.is_dir())


def _stem(file: Path) -> str:
    stem_ending = split_ending(file.name)
    return stem_ending[0] if stem_ending else file.stem


def _is_numbered(root: Path, pairs: dict[Path, Path]) -> bool:
    """Whether four digits at the end of a name (`scan_0012`) are a number, not a channel: a label map carries them."""
    images = [file for suffix in ("Tr", "Ts") for file in _files(root / f"images{suffix}")]
    labels = [file for suffix in ("Tr", "Ts") for file in _files(root / f"labels{suffix}")] + list(pairs.values())
    shared = {_stem(file) for file in images} & {_stem(file) for file in labels}
    return any(_CHANNEL.match(stem) for stem in shared)


def _images(layout: Layout, folder: Path, listed: set[Path], numbered: bool) -> dict[str, Path]:
    """The images of a folder by volume name, without nnU-Net's channel suffix unless names are numbered."""
    files = _files(folder)
    stems = {_stem(file) for file in files}
    named: list[tuple[str, Path]] = []
    for file in (file for file in files if file not in listed):
        match = None if numbered else _CHANNEL.match(_stem(file))
        if match and match[2] != "0000" and f"{match[1]}_0000" in stems:
            layout.error(
                "channels",
                f"{file} is channel {int(match[2])} of {match[1]!r}; fewlabel reads one: keep channel _0000 only, "
                "or rename the files if the digits are a number",
                match[1],
            )
            continue
        named.append((match[1] if match and match[2] == "0000" else _stem(file), file))
    return _by_name(layout, named)


def _by_name(layout: Layout, files: Iterable[tuple[str, Path]]) -> dict[str, Path]:
    found: dict[str, Path] = {}
    for name, file in files:
        if name in found:
            layout.error("duplicate", f"{found[name]} and {file} are both volume {name!r}: remove one", name)
        found.setdefault(name, file)
    return found


def _what_else(folder: Path) -> str:
    """What an empty image folder has instead, to tell a wrong path from a wrong format."""
    if not folder.is_dir():
        return "the folder does not exist; put the training scans there"
    endings = Counter(file.suffix or "no ending" for file in folder.iterdir() if not file.name.startswith("."))
    if not endings:
        return "it is empty; put the training scans there"
    found = ", ".join(f"{count} x {ending}" for ending, count in endings.most_common(3))
    return f"found {found}; expected one of {', '.join(ENDINGS)}: convert the scans to NIfTI"
