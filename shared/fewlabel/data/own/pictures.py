"""Read PNG, JPEG and TIFF files as slices: gray levels of images, values or colors of masks."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fewlabel.data.files.capacity import require_memory
from fewlabel.data.public.slice_files import stacked

_GRAY = ("1", "L", "I", "F", "I;16", "I;16B", "I;16L", "I;16N")
_ORIENTATION = 0x0112  # the EXIF tag; 1 is upright, 2 to 8 are turned or mirrored


def read_images(files: Sequence[Path]) -> NDArray[Any]:
    """Read the gray levels of pictures.

    Args:
        files: one file per slice, or one TIFF of several pages.

    Returns:
        ``(X, Y, Z)``: columns, rows, slices.

    Raises:
        ValueError: a file is damaged, in color, transparent, stored turned or of another size than the first.

    """
    slices: list[NDArray[Any]] = []
    for path in files:
        for page in _pages(path):
            slices.append(_gray(path, page) if page.ndim == 3 else page)
    return _volume(files, slices)


def read_masks(files: Sequence[Path]) -> NDArray[Any]:
    """Read masks: gray values, indices of a palette (not its colors), or colors as one number each.

    Returns:
        ``(X, Y, Z)``; a pixel in color, of red r, green g and blue b, is ``-(65536 r + 256 g + b) - 1``, so that it can
        be taken for no value. Gray pixels of color files are gray values.

    Raises:
        ValueError: a file is damaged, transparent, stored turned or of another size than the first.

    """
    slices: list[NDArray[Any]] = []
    for path in files:
        for page in _pages(path, indices=True):
            slices.append(_colors(page) if page.ndim == 3 else page)
    return _volume(files, slices)


def color_value(color: str) -> int:
    """The number that :func:`read_masks` has for a color such as ``#ff0000``; gray ones are their level.

    >>> color_value("#000000"), color_value("#0a0a0a"), color_value("#ff0000")
    (0, 10, -16711681)
    """
    red, green, blue = (int(color[start : start + 2], 16) for start in (1, 3, 5))
    return int(_colors(np.array([[[red, green, blue]]]))[0, 0])


def color_name(value: float) -> str:
    """How ``--mapping`` writes a value of :func:`read_masks`.

    >>> color_name(255), color_name(-16711681)
    ('255', '#ff0000')
    """
    return f"{value:g}" if value >= 0 or value != int(value) else f"#{-int(value) - 1:06x}"


def _pages(path: Path, indices: bool = False) -> list[NDArray[Any]]:
    from PIL import Image, ImageSequence

    try:
        with Image.open(path) as file:
            require_memory(path, (*file.size, getattr(file, "n_frames", 1)), itemsize=4)
            return [_page(path, page, indices) for page in ImageSequence.Iterator(file)]
    except Image.DecompressionBombError as error:
        raise ValueError(f"{path} is too large a picture: cut it into tiles, or scale it down ({error})") from error
    except (OSError, SyntaxError) as error:
        raise ValueError(f"{path} is damaged or no picture ({error}): export it again") from error


def _page(path: Path, page: Any, indices: bool) -> NDArray[Any]:
    """Rows and columns, with red, green and blue behind them when the page is in color."""
    orientation = page.getexif().get(_ORIENTATION, 1)
    if orientation in range(2, 9):  # label maps are drawn on the pixels as shown or as stored, and nothing tells which
        raise ValueError(
            f"{path} has the EXIF orientation {orientation}, so it is shown turned or mirrored: save it upright, "
            "without that tag, and see that image and label map fit"
        )
    if "A" in page.getbands() and page.getchannel("A").getextrema()[0] < 255:
        raise ValueError(
            f"{path} has transparent pixels, so what it shows may be in its alpha channel, which is not read: save it "
            "without transparency, on a background of its own color or gray level"
        )
    if page.mode in _GRAY or (indices and page.mode == "P"):
        array = np.asarray(page)
        return array.astype(np.uint8) if array.dtype == bool else array
    if page.mode == "LA":
        return np.asarray(page)[..., 0]
    return np.asarray(page.convert("RGB"))


def _gray(path: Path, page: NDArray[Any]) -> NDArray[Any]:
    if not (page == page[..., :1]).all():
        raise ValueError(f"{path} is in color, but images of one channel are needed: convert it to gray levels first")
    return page[..., 0]


def _colors(page: NDArray[Any]) -> NDArray[np.int64]:
    red, green, blue = (page[..., channel].astype(np.int64) for channel in range(3))
    gray = (red == green) & (green == blue)
    return np.where(gray, red, -(65536 * red + 256 * green + blue) - 1)


def _volume(files: Sequence[Path], slices: Sequence[NDArray[Any]]) -> NDArray[Any]:
    if len(files) > 1 and len(slices) != len(files):
        raise ValueError(f"{files[0]} or a slice beside it has several pages: give one page per slice, or one file")
    paths = files if len(files) == len(slices) else [files[0]] * len(slices)
    return np.asfortranarray(stacked(paths, slices).T)
