"""Write a dataset whose training order and test scans were published."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import Any

from fewlabel.data.public.preparation import Preparation, same_path
from fewlabel.data.public.source_files import Sources
from fewlabel.listing import first_few

NUM_VALIDATION = 4


def published_lists(file: str) -> dict[str, Any]:
    """The content of a file in ``splits``."""
    lists: dict[str, Any] = json.loads((resources.files("fewlabel.data.public") / "splits" / file).read_text())
    return lists


@dataclass(frozen=True)
class Published:
    """What a public dataset is.

    Args:
        name: its name.
        description: what it shows.
        labels: the labels' values by name.
        modality: the image's kind.
        split: the file of its published lists.
        part: the key of the lists in it, when the file holds several.
        num_validation: how many scans at the end of the training list are for validation.

    """

    name: str
    description: str
    labels: dict[str, int]
    modality: str
    split: str
    part: str = ""
    num_validation: int = NUM_VALIDATION

    def splits(self) -> dict[str, list[str]]:
        """The scans in published order: ``labeled``, ``validation`` (the last for training) and ``test``.

        >>> from fewlabel.data.public.left_atrium import LEFT_ATRIUM
        >>> {part: len(names) for part, names in LEFT_ATRIUM.splits().items()}
        {'labeled': 76, 'unlabeled': 0, 'validation': 4, 'test': 20}
        """
        lists = published_lists(self.split)
        lists = lists[self.part] if self.part else lists
        training: list[str] = lists["training"]
        labeled = len(training) - self.num_validation
        if not 0 < labeled <= len(training):
            raise ValueError(f"validation is {self.num_validation}, but it must be 0 to {len(training) - 1} scans")
        return {
            "labeled": training[:labeled],
            "unlabeled": [],
            "validation": training[labeled:],
            "test": lists["test"],
        }


def prepare_published(
    published: Published,
    raw: Path,
    out: Path,
    sources: Sources,
    facts: dict[str, Any],
    allow_missing: bool,
    report: Callable[[str], None],
) -> Path:
    """Write the scans that the published lists name.

    Args:
        published: the dataset.
        raw: the download.
        out: the dataset's folder; new, empty, or of an earlier run.
        sources: where each scan comes from.
        facts: entries for ``manifest.json``.
        allow_missing: write what is there although the lists name more.
        report: receives the progress, one line at a time.

    Raises:
        FileNotFoundError: when scans of the lists are missing.
        FileExistsError: when ``out`` holds other files.
        ValueError: when a source is damaged, or ``raw`` and ``out`` are the same folder.

    """
    if not isinstance(allow_missing, bool):
        raise ValueError(f"allow_missing is {allow_missing!r}, but it must be True or False")
    if same_path(raw, out):
        raise ValueError(f"raw and out are the same folder {raw}: choose another one for out")
    report(f"found {len(sources)} scans in {raw} ({facts['form']})")
    lists = published.splits()
    splits = {part: [name for name in names if name in sources] for part, names in lists.items()}
    listed = [name for names in lists.values() for name in names]
    _check_missing(raw, [name for name in listed if name not in sources], splits, allow_missing, report)
    if extra := sorted(set(sources) - set(listed)):
        report(f"left out, since the published lists do not name them: {first_few(extra)}")
    names = [name for part in splits.values() for name in part]
    dataset = {
        "name": published.name,
        "description": published.description,
        "labels": published.labels,
        "channel_names": {"0": published.modality},
        "file_ending": ".nii.gz",
        "numTraining": len(names) - len(splits["test"]),
    }
    with Preparation(out, published.name, raw, facts, report) as preparation:
        preparation.check_only(set(names))
        for position, name in enumerate(names, start=1):
            report(f"[{position}/{len(names)}] {name}")
            preparation.volume(sources[name], "Ts" if name in splits["test"] else "Tr", len(published.labels))
        preparation.finish(dataset, splits)
    report(f"{out}: {', '.join(f'{len(found)} {part}' for part, found in splits.items())} scans")
    return out


def _check_missing(
    raw: Path, missing: list[str], splits: dict[str, list[str]], allowed: bool, report: Callable[[str], None]
) -> None:
    if missing and not allowed:
        raise FileNotFoundError(
            f"{raw} lacks {len(missing)} scans of the published lists: {first_few(missing)}. "
            "Complete the download, or prepare what is there with --allow_missing true"
        )
    if not splits["labeled"]:
        raise FileNotFoundError(f"{raw} holds no training scan of the published lists")
    if missing:
        report(f"missing, allowed: {first_few(missing)}")
