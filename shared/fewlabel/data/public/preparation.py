"""Write a public dataset in our layout, so that an interrupted run continues where it stopped."""

from __future__ import annotations

import hashlib
import os
import re
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fewlabel.atomic import atomic_write, remove_leftovers
from fewlabel.data.files.serialization import json_bytes, nifti_bytes
from fewlabel.folder_lock import LOCK_FILE, folders_held
from fewlabel.json_files import read_json
from fewlabel.links import require_content
from fewlabel.listing import first_few


@dataclass(frozen=True)
class Scan:
    """An image with its label map ``(X, Y, Z)``, slices last; ``header`` is nibabel's when the scan had one."""

    image: NDArray[Any]
    label: NDArray[Any]
    affine: NDArray[np.float64]
    header: Any = None


@dataclass(frozen=True)
class Source:
    """Where a volume comes from: its name in our layout, the files to read, and how to read them.

    ``recipe`` names what ``read`` does beyond reading, so that a second run with another one writes anew.
    """

    name: str
    files: tuple[Path, ...]
    read: Callable[[], Scan]
    note: str = ""
    recipe: str = ""


class Preparation:
    """The output folder of one dataset, held in a ``with``, and its ``manifest.json``, which records what is finished.

    The manifest holds, for every file, its SHA-256 and that of its sources. A file is written again when its entry
    is missing, when its content or its sources changed; otherwise it is left as it is.

    Args:
        out: The folder; new, empty, or holding an earlier run of the same dataset.
        dataset: The dataset's name.
        raw: The folder of the sources; the manifest names them relative to it.
        facts: More entries for the manifest, for example the form of the source.
        report: Receives one line of progress at a time.

    Raises:
        FileExistsError: When ``out`` holds files of another origin.
        FolderInUseError: When another run prepares it.

    """

    def __init__(
        self, out: Path, dataset: str, raw: Path, facts: dict[str, Any], report: Callable[[str], None] = print
    ) -> None:
        self.out = out
        self.raw = raw
        self.report = report
        self.files: dict[str, dict[str, Any]] = {}
        self.manifest: dict[str, Any] = {"dataset": dataset, **facts, "files": self.files}
        self._held = ExitStack()

    def __enter__(self) -> Preparation:
        with ExitStack() as stack:
            stack.enter_context(folders_held(self.out))
            remove_leftovers(self.out)
            self.files.update(self._finished_files(self.manifest["dataset"]))
            self._save()
            self._held = stack.pop_all()
        return self

    def __exit__(self, *_: object) -> None:
        self._held.close()

    def _finished_files(self, dataset: str) -> dict[str, dict[str, Any]]:
        path = self.out / "manifest.json"
        if not path.is_file():
            if any(file.name != LOCK_FILE for file in self.out.iterdir()):
                raise FileExistsError(
                    f"{self.out} is not empty and holds no manifest.json of an earlier run: choose another folder"
                )
            return {}
        try:
            manifest = read_json(path)
            found, files = manifest["dataset"], dict(manifest["files"])
        except (ValueError, KeyError, TypeError) as error:
            self.report(f"{path} is damaged ({error}): every file is written again")
            return {}
        if found != dataset:
            raise FileExistsError(f"{self.out} holds the dataset {found!r}, not {dataset!r}: choose another folder")
        return files

    def _save(self) -> None:
        atomic_write(self.out / "manifest.json", json_bytes(self.manifest))

    def check_only(self, names: set[str]) -> None:
        """Make sure that no volume of an earlier run remains that is not part of this one.

        Raises:
            FileExistsError: When there is one; it names up to five.

        """
        present = {
            re.sub(r"\.nii(\.gz)?$", "", path.name)
            for folder in ("imagesTr", "labelsTr", "imagesTs", "labelsTs")
            for path in (self.out / folder).glob("*")
        }
        if stale := sorted(present - names):
            raise FileExistsError(
                f"{self.out} holds {len(stale)} volumes that {self.raw} does not have ({first_few(stale)}): "
                "choose another folder, or remove them"
            )

    def volume(self, source: Source, part: str, classes: int) -> int:
        """Write image and label map of one volume unless they are finished, and return its number of slices.

        Args:
            source: The volume.
            part: ``"Tr"`` or ``"Ts"``.
            classes: The label map may hold ``0 .. classes - 1``.

        Raises:
            FileNotFoundError: When a source is a link that points nowhere.
            ValueError: When a source cannot be read, is not three-dimensional, image and label map differ in shape,
                or the label map holds other values; it names the file.

        """
        image_key, label_key = (f"{kind}{part}/{source.name}.nii.gz" for kind in ("images", "labels"))
        for path in source.files:
            require_content(path)
        origin = hashlib.sha256(b"".join(hashlib.sha256(path.read_bytes()).digest() for path in source.files))
        origin.update(source.recipe.encode())
        if self._is_finished(image_key, origin.hexdigest()) and self._is_finished(label_key, origin.hexdigest()):
            self.report(f"{source.name}: finished before, verified")
            return int(self.files[image_key]["slices"])
        try:
            scan = source.read()
        except Exception as error:
            raise ValueError(f"cannot read {source.files[0]} ({error}): download it again") from error
        label = _checked_label(scan, source, classes)
        entry = {
            "source": [path.relative_to(self.raw).as_posix() for path in source.files],
            "source_sha256": origin.hexdigest(),
            "slices": scan.image.shape[2],
            **({"note": source.note} if source.note else {}),
            **({"recipe": source.recipe} if source.recipe else {}),
        }
        for key, voxels in ((image_key, _storable(scan.image)), (label_key, label)):
            content = nifti_bytes(voxels, scan.affine, scan.header)
            atomic_write(self.out / key, content)
            self.files[key] = {"sha256": hashlib.sha256(content).hexdigest(), **entry}
        self._save()
        self.report(f"{source.name}: written, {' x '.join(map(str, scan.image.shape))}")
        return int(scan.image.shape[2])

    def _is_finished(self, key: str, origin: str) -> bool:
        entry, path = self.files.get(key), self.out / key
        if entry is None or entry["source_sha256"] != origin or not path.is_file():
            return False
        return bool(hashlib.sha256(path.read_bytes()).hexdigest() == entry["sha256"])

    def finish(self, dataset: dict[str, Any], splits: dict[str, Any]) -> None:
        """Write ``dataset.json`` and ``splits.json``, which make the folder a dataset, when all volumes are there."""
        for name, content in (("dataset.json", json_bytes(dataset)), ("splits.json", json_bytes(splits))):
            atomic_write(self.out / name, content)
            self.files[name] = {"sha256": hashlib.sha256(content).hexdigest()}
        self._save()


def same_path(a: str | os.PathLike[str], b: str | os.PathLike[str]) -> bool:
    """Whether two paths lead to the same place, existing or not."""
    return Path(a).resolve() == Path(b).resolve()


def _checked_label(scan: Scan, source: Source, classes: int) -> NDArray[np.uint8]:
    if scan.image.ndim != 3 or scan.image.shape != scan.label.shape:
        raise ValueError(
            f"{source.files[0]}: the image has the shape {scan.image.shape} and the label map {scan.label.shape}, "
            "but both must be the same three-dimensional grid"
        )
    values = np.unique(scan.label)
    if not np.isin(values, np.arange(classes)).all():
        raise ValueError(
            f"{source.files[-1]}: the label map holds {values[:10].tolist()}, but only 0 to {classes - 1} are labels"
        )
    return scan.label.astype(np.uint8)


def _storable(image: NDArray[Any]) -> NDArray[Any]:
    """The same values in a type that every NIfTI reader knows."""
    if image.dtype == np.float16:
        return image.astype(np.float32)
    if image.dtype.kind in "iu" and image.dtype.itemsize == 8:
        return image.astype(np.int32, casting="unsafe") if np.abs(image).max() < 2**31 else image.astype(np.float64)
    return image
