"""Find the files of a dataset: nnU-Net's folders (v1, v2) and the Medical Segmentation Decathlon's."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from fewlabel.data.checks.problems import Problem
from fewlabel.data.files.formats import ENDINGS, split_ending
from fewlabel.data.layout.channels import (
    Channels,
    channel_files,
    channel_problems,
    count_channels,
    group_channels,
    split_channel,
    stem_of,
)
from fewlabel.data.layout.dataset_json import (
    MINIMAL,
    read_channel_names,
    read_ignored_value,
    read_labels,
    read_object,
)
from fewlabel.links import absence
from fewlabel.listing import shown

_LONGEST_PATH = 4096  # bytes
_TOO_MANY = 'name it under "channel_names" of dataset.json, remove it, or rename the files if the digits are a number'


@dataclass(frozen=True)
class Volume:
    """One scan: its name, its image, and its label map if there is one.

    Args:
        name: the file's name without ending and without nnU-Net's channel suffix `_0000`.
        images: the scan's file, or the files of its channels in their order.
        label: the label map; None when unlabeled.
        training: it is in `imagesTr`, not in `imagesTs`.

    """

    name: str
    images: tuple[Path, ...]
    label: Path | None
    training: bool

    @property
    def image(self) -> Path:
        """The scan's file, or that of its first channel."""
        return self.images[0]


@dataclass
class Layout:
    """The contents of a dataset's folder; no image is opened to find them.

    Args:
        root: the folder, absolute.
        labels: label names by value; empty when `dataset.json` is missing or wrong.
        ignored: the label value of voxels that nobody annotated; None if there is none.
        channels: their names, numbers where `dataset.json` does not name them.
        named: whether `dataset.json` names the channels.
        volumes: by name, in alphabetical order.
        problems: everything wrong with the names and `dataset.json`.

    """

    root: Path
    labels: dict[int, str] = field(default_factory=dict)
    ignored: int | None = None
    channels: tuple[str, ...] = ()
    named: bool = False
    volumes: dict[str, Volume] = field(default_factory=dict)
    problems: list[Problem] = field(default_factory=list)

    def error(self, kind: str, message: str, volume: str = "") -> None:
        """Note an error."""
        self.problems.append(Problem("error", kind, message, volume))


def read_layout(root: str | os.PathLike[str]) -> Layout:
    """Find images, label maps and label names under a folder.

    An image is paired with the label map of the same name: `imagesTr/a.nii.gz` or `imagesTr/a_0000.nii.gz` with
    `labelsTr/a.nii.gz`; the endings may differ. Channels are files of their own, `a_0000`, `a_0001`, ..., or lie along
    the fourth axis of one file; `dataset.json` names them. Pairs of other names can stand in the Decathlon's `training`
    list in `dataset.json`. An image without a label map is unlabeled. Hidden files are skipped.

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
    for name in ("imagesTr", "labelsTr", "imagesTs", "labelsTs"):
        if fault := absence(folder / name):
            layout.error("absent", f"{folder / name} {fault}")
    content = _read_description(layout)
    pairs = _read_training_list(layout, content.get("training", []))
    numbered = _is_numbered(layout.root, pairs)
    listed = {file for channels, _ in pairs for files in channels.values() for file in files}
    images = {half: _images(layout, half, listed, numbered) for half in ("Tr", "Ts")}
    _name_channels(layout, [*images.values(), {str(label): channels for channels, label in pairs}])
    _pair(layout, "Tr", images["Tr"], pairs)
    _pair(layout, "Ts", images["Ts"], [])
    if not any(volume.training for volume in layout.volumes.values()):
        layout.error("no images", f"{folder / 'imagesTr'} holds no image: {_what_else(folder / 'imagesTr')}")
    layout.volumes = dict(sorted(layout.volumes.items()))
    return layout


def _read_description(layout: Layout) -> dict[str, Any]:
    path = layout.root / "dataset.json"
    if not os.path.lexists(path):
        layout.error(
            "no dataset.json", f"{path} does not exist: it names the label values; write for instance {MINIMAL}"
        )
        return {}
    try:
        content = read_object(path)
    except (ValueError, OSError) as error:
        layout.error("dataset.json", str(error))
        return {}
    try:
        layout.channels = read_channel_names(path, content)
        layout.named = bool(layout.channels)
        layout.labels = read_labels(path, content)
        layout.ignored = read_ignored_value(path, content)
    except ValueError as error:
        layout.error("dataset.json", str(error))
    return content


def _read_training_list(layout: Layout, entries: object) -> list[tuple[Channels, Path]]:
    """The Decathlon's explicit pairs of images and label maps."""
    path = layout.root / "dataset.json"
    pairs: list[tuple[Channels, Path]] = []
    for entry in entries if isinstance(entries, list) else []:
        if not isinstance(entry, dict) or not _is_path(entry.get("image")) or not _is_path(entry.get("label")):
            expected = 'expected {"image": ..., "label": ...}'
            layout.error("dataset.json", f'{path} has the "training" entry {shown(entry)}; {expected}')
            continue
        image, label = (Path(os.path.normpath(layout.root / str(entry[key]))) for key in ("image", "label"))
        channels: Channels = {0: [image]} if image.is_file() else {}
        if not channels or (len(layout.channels) > 1 and stem_of(image) != stem_of(label)):
            channels = channel_files(image) or channels  # nnU-Net v1 lists images without the numbers of channels
        missing = [file for file, found in ((image, channels), (label, label.is_file())) if not found]
        if missing:
            fault = absence(missing[0]) or "does not exist: copy it, or remove the entry"
            layout.error("missing file", f'{path} lists {missing[0]} under "training", which {fault}')
        else:
            pairs.append((channels, label))
    return pairs


def _is_path(entry: object) -> bool:
    return isinstance(entry, str) and 0 < len(os.fsencode(entry)) < _LONGEST_PATH and "\0" not in entry


def _name_channels(layout: Layout, images: list[dict[str, Channels]]) -> None:
    """Number the channels where `dataset.json` does not name them."""
    if layout.channels:
        return
    count = count_channels(images)
    layout.channels = tuple(f"channel {number}" for number in range(count))
    if count > 1:
        path = layout.root / "dataset.json"
        message = f"{path} names no channels, the files have {count}, _0000 to _{count - 1:04d}"
        layout.problems.append(Problem("note", "channels", f'{message}; name them under "channel_names"'))


def _pair(layout: Layout, half: str, images: dict[str, Channels], pairs: list[tuple[Channels, Path]]) -> None:
    """Join images and label maps of one half, `Tr` or `Ts`, by their names."""
    labels = _by_name(layout, ((stem_of(file), file) for file in _files(layout.root / f"labels{half}")))
    for channels, label in pairs:
        name = stem_of(label)
        if name in images and images[name] != channels:
            both = f"{_first(images[name])} and {_first(channels)}"
            layout.error("duplicate", f"{both} are both volume {name!r}: rename or remove one", name)
        images[name] = channels
        labels[name] = label
    for name, channels in images.items():
        if name in layout.volumes:
            both = f"{layout.volumes[name].image} and {_first(channels)}"
            layout.error("duplicate", f"volume {name!r} is both {both}: rename or remove one", name)
        for problem in channel_problems(name, channels, layout.channels, _TOO_MANY):
            layout.error("channels", problem, name)
        files = tuple(channels[number][0] for number in sorted(channels))
        layout.volumes.setdefault(name, Volume(name, files, labels.pop(name, None), half == "Tr"))
    listed = {label for _, label in pairs}
    for name, label in labels.items():
        if label not in listed:
            layout.error(
                "no image",
                f"{label} has no image: expected {layout.root / f'images{half}' / label.name}; rename it like its "
                "image, or remove it",
                name,
            )


def _first(channels: Channels) -> Path:
    return channels[min(channels)][0]


def _files(folder: Path) -> list[Path]:
    """The image files of a folder; a broken link counts, so that its scan or label map is missed, not skipped."""
    if not folder.is_dir():
        return []
    return sorted(file for file in folder.iterdir() if split_ending(file.name) and not file.is_dir())


def _is_numbered(root: Path, pairs: list[tuple[Channels, Path]]) -> bool:
    """Whether four digits at the end of a name (`scan_0012`) are a number, not a channel: a label map carries them."""
    images = [file for half in ("Tr", "Ts") for file in _files(root / f"images{half}")]
    labels = [file for half in ("Tr", "Ts") for file in _files(root / f"labels{half}")]
    labels += [label for _, label in pairs]
    shared = {stem_of(file) for file in images} & {stem_of(file) for file in labels}
    return any(split_channel(stem) for stem in shared)


def _images(layout: Layout, half: str, listed: set[Path], numbered: bool) -> dict[str, Channels]:
    """The images of a folder by volume name, which is without nnU-Net's channel suffix unless names are numbered."""
    files = [file for file in _files(layout.root / f"images{half}") if file not in listed]
    if not numbered:
        return group_channels(files, several=len(layout.channels) > 1)
    found: dict[str, Channels] = {}
    for file in files:
        found.setdefault(stem_of(file), {}).setdefault(0, []).append(file)
    return found


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
