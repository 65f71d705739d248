"""Write one volume of a user's folders: linked when it can be read as it is, else as NIfTI."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fewlabel.atomic import atomic_write
from fewlabel.data.checks.inspection import TOLERANCE
from fewlabel.data.files.formats import Header, split_ending
from fewlabel.data.files.serialization import nifti_bytes
from fewlabel.data.files.volumes import is_finite, label_values, read_channels, read_header, read_volume
from fewlabel.data.own.files import Named, is_picture
from fewlabel.data.own.pictures import read_images, read_masks
from fewlabel.data.own.placing import place
from fewlabel.data.own.values import mapped, require_labels


@dataclass
class Writer:
    """Writes volumes into a folder and remembers what they hold.

    Args:
        out: the folder.
        mapping: labels by value; empty when the values are the labels.
        named: how many labels have names, 0 when the values found count.
        spacing: millimeters along the axes of pictures, which tell none.
        links: link files that can be read as they are.
        values: the labels found so far.
        channels: how many channels the images have, 0 before the first.
        ways: how many files were linked, copied or written.

    """

    out: Path
    mapping: Mapping[int, int]
    named: int
    spacing: tuple[float, float, float]
    links: bool
    values: set[int] = field(default_factory=set)
    channels: int = 0
    ways: Counter[str] = field(default_factory=Counter)

    def write(self, image: Named, label: Named | None) -> None:
        """Write an image and its label map.

        Raises:
            ValueError: a file is damaged, the two differ in shape, or values are no labels; it names the file.

        """
        shape, affine = self._image(image)
        if label is not None:
            self._label(image, label, shape, affine)

    def _image(self, image: Named) -> tuple[tuple[int, ...], NDArray[np.float64]]:
        if not image.channels:
            header = self._channel(image.name, image)
            self._count(image.files[0], header.channels)
            return header.shape, header.affine
        parts = [Named(image.name, (path,)) for path in (*image.files, *image.channels)]
        self._count(image.files[0], len(parts))
        headers = [self._channel(f"{image.name}_{number:04d}", part) for number, part in enumerate(parts)]
        for part, header in zip(parts, headers, strict=True):
            _require_place(part.files[0], header.affine, image.files[0], headers[0].affine)
            if (header.shape, header.channels) != (headers[0].shape, 1):
                raise ValueError(
                    f"{part.files[0]} has the shape {header.shape} and {header.channels} channels, but as a channel of "
                    f"{image.files[0]} it must have {headers[0].shape} and one: resample or split it"
                )
        return headers[0].shape, headers[0].affine

    def _channel(self, name: str, image: Named) -> Header:
        if not is_picture(image.files[0]):
            header = read_header(_only(image))
            for channel in read_channels(image.files[0]):
                if not is_finite(channel):
                    raise ValueError(
                        f"{image.files[0]} holds NaN or infinite voxels: export it again, or replace them by the "
                        "background value"
                    )
            self._place(image.files[0], f"imagesTr/{name}")
            return header
        array = read_images(image.files)
        affine = np.diag([-self.spacing[0], -self.spacing[1], self.spacing[2], 1.0])  # as DICOM's rows and columns
        self._store(f"imagesTr/{name}.nii.gz", array, affine)
        x, y, z = array.shape
        return Header((x, y, z), affine)

    def _count(self, path: Path, channels: int) -> None:
        if channels != (self.channels or channels):
            raise ValueError(
                f"{path} is an image of {channels} channels, but those before it have {self.channels}: all cases of a "
                "data set have the same channels; add files, or leave some out"
            )
        self.channels = channels

    def _label(self, image: Named, label: Named, shape: tuple[int, ...], affine: NDArray[np.float64]) -> None:
        path = label.files[0]
        picture = is_picture(path)
        array, own = (read_masks(label.files), affine) if picture else read_volume(_only(label), finite=True)
        if array.shape != shape:
            raise ValueError(
                f"{path} has the shape {array.shape}, but its image {image.files[0]} {shape}: "
                "they are no pair, or one was resampled"
            )
        _require_place(path, own, image.files[0], affine)
        if self.mapping:
            array = mapped(path, array, self.mapping)
        else:
            require_labels(path, label_values(array), self.named, picture)
        self.values.update(int(value) for value in label_values(array))
        if picture or self.mapping:
            kind = np.uint8 if array.max() < 256 else np.int32
            self._store(f"labelsTr/{image.name}.nii.gz", array.astype(kind), own)
        else:
            self._place(path, f"labelsTr/{image.name}")

    def _store(self, name: str, array: NDArray[Any], affine: NDArray[np.float64]) -> None:
        atomic_write(self.out / name, nifti_bytes(array, affine))
        self.ways["NIfTI files written"] += 1

    def _place(self, source: Path, name: str) -> None:
        parts = split_ending(source.name)
        ending = parts[1].lower() if parts else source.suffix
        if ending == ".mhd":
            raise ValueError(
                f"{source} keeps its voxels in a second file, and a link would lose it: convert it to .mha"
            )
        self.ways[place(source, self.out / f"{name}{ending}", self.links)] += 1


def _require_place(path: Path, affine: NDArray[np.float64], image: Path, expected: NDArray[np.float64]) -> None:
    """Refuse a file that lies elsewhere than the image it belongs to."""
    if not np.allclose(affine, expected, rtol=0, atol=TOLERANCE):
        worst = float(np.abs(affine - expected).max())
        raise ValueError(
            f"{path} lies elsewhere than its image {image}: their affines differ by up to {worst:.4g}; if they overlap "
            "voxel by voxel, copy the image's affine to it, else resample it onto the image, with nearest neighbor if "
            "it is a label map"
        )


def _only(volume: Named) -> Path:
    if len(volume.files) > 1:
        raise ValueError(
            f"{volume.files[1]} is a slice of {volume.name} by the pattern, but only PNG, JPEG and TIFF are "
            "stacked: leave 'slice' out of the pattern"
        )
    return volume.files[0]
