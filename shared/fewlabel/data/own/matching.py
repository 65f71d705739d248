"""Which label map belongs to which image: by name, by pattern or by a table of pairs."""

from __future__ import annotations

import csv
from dataclasses import dataclass, field
from pathlib import Path, PurePath

from fewlabel.data.own.files import Named, image_files, named_by_path
from fewlabel.data.own.patterns import compiled, named_by_pattern
from fewlabel.links import require_content
from fewlabel.listing import first_few


@dataclass
class Matches:
    """Images with the label maps that were found for them, and what remained.

    Args:
        pairs: the images in order, each with its label map, or with None.
        left_out: files that are not used, by the reason.

    """

    pairs: list[tuple[Named, Named | None]] = field(default_factory=list)
    left_out: dict[str, list[Path]] = field(default_factory=dict)

    def __str__(self) -> str:
        labeled = [image.name for image, label in self.pairs if label]
        unlabeled = [image.name for image, label in self.pairs if not label]
        lines = [f"{len(labeled)} images with a label map: {first_few(labeled)}"]
        if unlabeled:
            lines.append(f"{len(unlabeled)} images without one, to train as unlabeled: {first_few(unlabeled)}")
        for reason, files in self.left_out.items():
            if files:
                lines.append(f"{len(files)} files left out, {reason}: {first_few(path.name for path in files)}")
        return "\n".join(lines)


def match(images: Path, labels: Path, pattern: str = "", label_pattern: str = "", pairs: str = "") -> Matches:
    """Match the images of one folder with the label maps of another.

    Args:
        images: the folder of images.
        labels: the folder of label maps.
        pattern: a regular expression for the images' paths without ending; see
            :func:`fewlabel.data.own.patterns.named_by_pattern`. Empty: equal names belong together.
        label_pattern: the same for label maps; ``pattern`` when empty.
        pairs: a CSV file with the columns ``image`` and ``label``, instead of patterns.

    Raises:
        FileNotFoundError: a folder is missing or empty, or the table names a file that does not exist.
        ValueError: nothing matches, names are ambiguous, the slices of an image and its label map have other numbers,
            or one folder holds both kinds and nothing tells them apart.

    """
    if pairs and (pattern or label_pattern):
        raise ValueError("--pairs and --pattern say the same: give one of them")
    if label_pattern and not pattern:
        raise ValueError("--label_pattern needs --pattern: say what the images' names mean too")
    if images.resolve() == labels.resolve() and not (label_pattern or pairs):
        raise ValueError(
            f"images and label maps are both in {images}: tell them apart with --pattern and --label_pattern, or with "
            "--pairs"
        )
    found = _listed(images, labels, Path(pairs)) if pairs else _named_alike(images, labels, pattern, label_pattern)
    if not any(label for _, label in found.pairs):
        raise ValueError(
            f"no image of {images} has a label map in {labels}. {_examples(images, labels)} Rename them alike, or say "
            r"what belongs together: --pattern 'img_(?P<name>\d+)' --label_pattern 'mask_(?P<name>\d+)', or --pairs "
            "pairs.csv with the columns image,label"
        )
    return found


def _named_alike(images: Path, labels: Path, pattern: str, label_pattern: str) -> Matches:
    if pattern:
        ours, strange = named_by_pattern(image_files(images), compiled("pattern", pattern))
        option = "label_pattern" if label_pattern else "pattern"
        theirs, strange_labels = named_by_pattern(image_files(labels), compiled(option, label_pattern or pattern))
    else:
        scans, masks = image_files(images), image_files(labels)
        # scan_0000 with a label map of the same name is the scan number 0, not a channel
        channels = not any(key.endswith("_0000") for key in masks)
        ours, theirs = named_by_path(scans, channels), named_by_path(masks)
        strange, strange_labels = [], []
    alone = [label.files[0] for name, label in theirs.items() if name not in ours]
    pairs = [(image, theirs.get(name)) for name, image in ours.items()]
    for image, label in pairs:
        if label:
            _require_same_slices(image, label)
    return Matches(
        pairs,
        {
            "the pattern matches none of these images": strange,
            "the pattern matches none of these label maps": strange_labels,
            "label maps without an image of that name": alone,
        },
    )


def _require_same_slices(image: Named, label: Named) -> None:
    """Refuse stacks that would be paired by position although their numbers say otherwise."""
    if not image.slices or not label.slices or image.slices == label.slices:
        return
    ours, theirs = set(image.slices), set(label.slices)
    lacking = {"label map": sorted(ours - theirs), "image": sorted(theirs - ours)}
    lacks = " and ".join(f"no {kind} of {first_few(numbers)}" for kind, numbers in lacking.items() if numbers)
    raise ValueError(
        f"{image.name} has the slices {min(ours)} to {max(ours)} as images and {min(theirs)} to {max(theirs)} as label "
        f"maps, so there is {lacks}: add or remove files, or number both alike"
    )


def _listed(images: Path, labels: Path, table: Path) -> Matches:
    require_content(table)
    if not table.is_file():
        raise FileNotFoundError(f"the table {table} does not exist")
    rows = _rows(table)
    ours, theirs = (
        {path.relative_to(folder).as_posix(): path for path in image_files(folder).values()}
        for folder in (images, labels)
    )
    found = Matches()
    name_of = {named.files[0]: named for named in named_by_path(image_files(images)).values()}
    lines: dict[Path, int] = {}  # of the label maps
    for number, row in rows:
        image = name_of[_file(ours, "image", row["image"], images, table, number)]
        label = row["label"] and Named(image.name, (_file(theirs, "label map", row["label"], labels, table, number),))
        if any(image == other for other, _ in found.pairs):
            raise ValueError(f"{table}, line {number}: {row['image']} is there twice")
        if label and (earlier := lines.setdefault(label.files[0], number)) != number:
            raise ValueError(f"{table}, line {number}: {row['label']} belongs to the image of line {earlier} already")
        found.pairs.append((image, label or None))
    used = {path for image, label in found.pairs for path in (*image.files, *(label.files if label else ()))}
    found.left_out = {
        f"{table.name} does not list these images": [path for path in ours.values() if path not in used],
        f"{table.name} does not list these label maps": [path for path in theirs.values() if path not in used],
    }
    return found


def _rows(table: Path) -> list[tuple[int, dict[str, str]]]:
    """The rows of a table with the numbers of their lines."""
    try:
        with open(table, newline="", encoding="utf-8-sig") as stream:
            reader = csv.DictReader(stream)
            rows = [(reader.line_num, row) for row in reader]
            columns = list(reader.fieldnames or ())
    except (UnicodeDecodeError, csv.Error) as error:
        raise ValueError(f"{table} can't be read ({error}): save it as CSV in UTF-8") from error
    if not rows or columns.count("image") != 1 or columns.count("label") != 1:
        raise ValueError(f"{table} must have the columns image and label in its first line, and a row for each image")
    for number, row in rows:
        if None in row or None in row.values():
            raise ValueError(
                f"{table}, line {number} must have {len(columns)} entries as the first: {','.join(columns)}"
            )
    return rows


def _file(files: dict[str, Path], kind: str, name: str, folder: Path, table: Path, number: int) -> Path:
    inside = PurePath(name).as_posix()  # without ./
    if inside not in files:
        raise FileNotFoundError(f"{table}, line {number}: {folder} has no {kind} {name!r}")
    return files[inside]


def _examples(images: Path, labels: Path) -> str:
    return f"Images are called {first_few(image_files(images), 2)}; label maps {first_few(image_files(labels), 2)}."
