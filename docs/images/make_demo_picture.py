"""Draw the README's picture from the folder of a finished demo: scan, reference and prediction of every case.

usage: python docs/images/make_demo_picture.py OUTPUT_DIR PNG
"""

from __future__ import annotations

import io
import json
import sys
from pathlib import Path

import nibabel
import numpy as np
from matplotlib.patches import Patch
from PIL import Image

from fewlabel.atomic import atomic_write
from fewlabel.reports import informative_slices
from fewlabel.reports.drawing import INK, class_colors, new_figure, png
from fewlabel.reports.overlay import draw_slice, typical_range

HALF = 40  # pixels of the crop on each side of the heart's center
PANEL = 1.7  # inches
ROWS = ("scan", "reference", "prediction")


def sample_mask(output_dir: Path, picture: Path) -> Path:
    """Write the picture of all predicted cases, one in a column.

    Raises:
        FileNotFoundError: the demo has not been run with this output folder.
    """
    predictions = sorted((output_dir / "predictions" / "best").glob("*.nii.gz"))
    if not predictions:
        raise FileNotFoundError(
            f"{output_dir} has no predictions/best/*.nii.gz: run the demo with this output_dir first"
        )
    names = json.loads((output_dir / "phantom" / "dataset.json").read_text(encoding="utf-8"))["labels"]
    labels = {value: name for name, value in names.items()}
    figure = new_figure(PANEL * len(predictions) + 0.3, PANEL * len(ROWS) + 0.5)
    grid = figure.subplots(len(ROWS), len(predictions), squeeze=False)
    for column, path in enumerate(predictions):
        prediction, reference, image = _load(path, output_dir / "phantom")
        gray_range = typical_range(image)
        nothing = np.zeros_like(reference)
        for row, filled in enumerate((nothing, reference, prediction)):
            draw_slice(grid[row, column], image, filled, nothing, labels, (1, 1), gray_range)
        grid[0, column].set_title(path.name.removesuffix(".nii.gz"), fontsize=8.5, color=INK)
    for row, name in enumerate(ROWS):
        grid[row, 0].text(-0.06, 0.5, name, rotation=90, va="center", ha="right", transform=grid[row, 0].transAxes)
    classes = sorted(set(labels) - {0})
    colors = class_colors(len(classes))
    patches = [Patch(facecolor=color, label=labels[value]) for value, color in zip(classes, colors, strict=True)]
    figure.legend(handles=patches, loc="outside lower center", ncols=len(patches), frameon=False, fontsize=8.5)
    return atomic_write(picture, _small(png(figure, dpi=80)))


def _small(content: bytes) -> bytes:
    """Return a PNG of 128 colors, half of the bytes."""
    buffer = io.BytesIO()
    Image.open(io.BytesIO(content)).convert("RGB").quantize(128, kmeans=1).save(buffer, format="PNG", optimize=True)
    return buffer.getvalue()


def _load(path: Path, dataset: Path) -> list[np.ndarray]:
    """Return prediction, reference and image (H, W) of the most informative slice, around the heart."""
    files = (path, dataset / "labelsTr" / path.name, dataset / "imagesTr" / path.name)
    volumes = [np.asarray(nibabel.load(file).dataobj) for file in files]
    index = informative_slices(volumes[1], volumes[0], 1)[0]
    slices = [volume[..., index] for volume in volumes]
    rows, columns = (int(places.mean()) for places in np.nonzero(slices[1]))
    height, width = slices[1].shape
    top = min(max(0, rows - HALF), max(0, height - 2 * HALF))
    left = min(max(0, columns - HALF), max(0, width - 2 * HALF))
    return [plane[top : top + 2 * HALF, left : left + 2 * HALF] for plane in slices]


if __name__ == "__main__":
    print(sample_mask(Path(sys.argv[1]), Path(sys.argv[2])))
