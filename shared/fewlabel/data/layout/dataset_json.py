"""Read `dataset.json`: what the label values and the channels are, in nnU-Net's and the Decathlon's way of writing."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from fewlabel.json_files import read_json
from fewlabel.listing import LONGEST_NAME, shown

_IGNORE = "ignore"
MINIMAL = '{"labels": {"background": 0, "organ": 1}}'


def read_object(path: Path) -> dict[str, Any]:
    """Read a JSON object from a file.

    Raises:
        FileNotFoundError: there is no such file, or a link in place of its content.
        ValueError: the file is not JSON (with the line), gives a key twice, or holds no object.

    """
    content = read_json(path)
    if not isinstance(content, dict):
        raise ValueError(f"{path} holds a {type(content).__name__}; expected an object in braces")
    return content


def read_labels(path: Path, content: dict[str, Any]) -> dict[int, str]:
    """Read the label names from the content of `dataset.json`.

    nnU-Net v2 writes name to value, the Decathlon and nnU-Net v1 write value to name; both are understood.

    Args:
        path: the file, for messages.
        content: what it holds.

    Returns:
        The names by value, ascending from 0, the background; nnU-Net's ignore label is none of them.

    Raises:
        ValueError: no labels, regions, a value that is no whole number, or values with gaps.

    Examples:
        >>> read_labels(Path("dataset.json"), {"labels": {"background": 0, "tumor": 1}})
        {0: 'background', 1: 'tumor'}
        >>> read_labels(Path("dataset.json"), {"labels": {"0": "background", "1": "tumor"}})
        {0: 'background', 1: 'tumor'}

    """
    labels = _labels(path, content)
    if "regions_class_order" in content or any(isinstance(value, list) for value in labels.values()):
        raise ValueError(
            f"{path} describes regions (several values per label), which fewlabel does not support: "
            "give each label one value"
        )
    pairs = [_value_and_name(path, key, value) for key, value in labels.items()]
    if len(dict(pairs)) < len(pairs):
        raise ValueError(f"{path} gives one label value two names: {shown(labels)}")
    names = {value: name for value, name in sorted(pairs) if name != _IGNORE}
    if list(names) != list(range(len(names))) or len(names) < 2:
        raise ValueError(
            f"{path} has the label values {shown(list(names))}; expected 0 (background), 1, 2, ... without gaps: "
            "renumber the labels, for instance " + MINIMAL
        )
    return names


def read_ignored_value(path: Path, content: dict[str, Any]) -> int | None:
    """Read which value marks voxels that nobody annotated, nnU-Net's "ignore" label; None if there is none.

    Raises:
        ValueError: it is not the value after the last label's, as nnU-Net demands; or the labels can't be read.

    Examples:
        >>> read_ignored_value(Path("dataset.json"), {"labels": {"background": 0, "tumor": 1, "ignore": 2}})
        2

    """
    names = read_labels(path, content)
    pairs = [_value_and_name(path, key, value) for key, value in _labels(path, content).items()]
    found = [value for value, name in pairs if name == _IGNORE]
    if found and found != [len(names)]:
        raise ValueError(
            f"{path} gives the ignore label the value {found[0]}; expected {len(names)}, the value after the last "
            "label's, as nnU-Net demands: renumber it, in the label maps too"
        )
    return found[0] if found else None


def read_channel_names(path: Path, content: dict[str, Any]) -> tuple[str, ...]:
    """Read the names of the channels: nnU-Net's "channel_names", the Decathlon's "modality"; empty without either.

    Raises:
        ValueError: they are not numbered 0, 1, 2, ...

    Examples:
        >>> read_channel_names(Path("dataset.json"), {"modality": {"0": "T2", "1": "ADC"}})
        ('T2', 'ADC')

    """
    key = "channel_names" if "channel_names" in content else "modality"
    names = content.get(key)
    if names is None:
        return ()
    if isinstance(names, str | list):
        names = dict(enumerate([names] if isinstance(names, str) else names))
    if not isinstance(names, dict) or {str(number) for number in names} != {str(n) for n in range(len(names))}:
        raise ValueError(
            f'{path} has {shown(names)} as "{key}"; expected names by number, as in {{"0": "T2", "1": "ADC"}}'
        )
    return tuple(_name(path, str(name)) for _, name in sorted(names.items(), key=lambda pair: int(pair[0])))


def _labels(path: Path, content: dict[str, Any]) -> dict[str, Any]:
    labels = content.get("labels")
    if not isinstance(labels, dict) or not labels:
        raise ValueError(f"{path} names no labels: write for instance {MINIMAL}")
    return labels


def _value_and_name(path: Path, key: str, value: object) -> tuple[int, str]:
    if isinstance(value, str) and _is_number(key) and not value.isdecimal():
        return int(key), _name(path, value)
    if isinstance(value, str) and _is_number(value) and not key.isdecimal():
        return int(value), _name(path, key)
    if isinstance(value, int) and not isinstance(value, bool):
        return value, _name(path, key)
    raise ValueError(
        f"{path} has the label {shown(key)}: {shown(value)}; expected a name and a whole number, as in {MINIMAL}"
    )


def _is_number(text: str) -> bool:
    return text.isdecimal() and len(text) < 10  # Python reads no number of thousands of digits


def _name(path: Path, name: str) -> str:
    if len(name) > LONGEST_NAME:
        raise ValueError(
            f"{path} has the name {shown(name)} of {len(name)} characters, which every table shows: shorten it to at "
            f"most {LONGEST_NAME}"
        )
    return name
