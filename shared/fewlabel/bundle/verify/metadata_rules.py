"""What ``configs/metadata.json`` must say: the zoo's schema of 2024-07-25, its contributing guide, and MONAI Label."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

from fewlabel.bundle.verify.contents import Contents, reach
from fewlabel.bundle.verify.report import Finding, judge

SCHEMA = "meta_schema_20240725.json"
_KINDS: dict[str, type] = {
    "schema": str, "version": str, "monai_version": str, "pytorch_version": str, "numpy_version": str,
    "required_packages_version": dict, "task": str, "description": str, "authors": str, "copyright": str,
    "network_data_format": dict, "changelog": dict, "name": str,
}  # fmt: skip
_OPTIONAL: dict[str, type] = {
    "supported_apps": dict, "data_source": str, "data_type": str, "image_classes": str, "label_classes": str,
    "pred_classes": str, "intended_use": str, "references": list,
}  # fmt: skip
_TENSOR: dict[str, type] = {
    "type": str, "format": str, "num_channels": int, "spatial_shape": list, "dtype": str, "value_range": list,
}  # fmt: skip
_LISTS = ("spatial_shape", "value_range")
_EXACT = re.compile(r"\d+\.\d+\.\d+")
_EXTENT = re.compile(r"\*|\d+( ?(\*\*|\*) ?(\d+|n|p))*")  # of a spatial shape: "*", "32*n", "2**p*n"


def metadata_rules(contents: Contents) -> Iterator[Finding]:
    """Yield the findings on the metadata."""
    metadata = contents["configs/metadata.json"]
    yield judge(
        "metadata fields",
        [*_kinds(metadata, _KINDS, True), *_kinds(metadata, _OPTIONAL, False), *_renamed(metadata)],
        f"correct configs/metadata.json; {SCHEMA} requires these fields",
        f"{len(_KINDS)} required ones",
    )
    yield _schema(metadata)
    yield _version(metadata)
    yield _versions(metadata)
    yield from _tensors(metadata)


def _kinds(found: Mapping[str, Any], kinds: Mapping[str, type], required: bool) -> list[str]:
    problems = []
    for key, kind in kinds.items():
        if key not in found:
            problems += [f"{key} is missing"] if required else []
        elif not isinstance(found[key], kind) or isinstance(found[key], bool):
            problems.append(f"{key} is {found[key]!r}, expected {_WORDS[kind]}")
        elif required and kind is str and not found[key].strip():
            problems.append(f"{key} is empty")
    return problems


_WORDS = {str: "text", dict: "an object", list: "a list", int: "a whole number"}


def _renamed(metadata: Mapping[str, Any]) -> list[str]:
    old = "optional_packages_version"
    return [f"{old} is the old name of required_packages_version"] if old in metadata else []


def _schema(metadata: Mapping[str, Any]) -> Finding:
    schema = str(metadata.get("schema"))
    problems = [] if schema.endswith(f"/{SCHEMA}") else [f"schema is {schema!r}"]
    return judge("metadata schema", problems, f"name the address of {SCHEMA}", SCHEMA)


def _version(metadata: Mapping[str, Any]) -> Finding:
    version, changelog = str(metadata.get("version")), metadata.get("changelog")
    problems = [] if _EXACT.fullmatch(version) else [f"version is {version!r}, not three numbers"]
    if not isinstance(changelog, dict) or version not in changelog:
        problems.append(f"version {version} is not in changelog")
    return judge("version", problems, 'say "x.y.z", and in changelog what is new in it', version)


def _versions(metadata: Mapping[str, Any]) -> Finding:
    packages = metadata.get("required_packages_version")
    stated = {key: metadata.get(key) for key in ("monai_version", "pytorch_version", "numpy_version")}
    stated |= packages if isinstance(packages, dict) else {}
    problems = [f"{name}: {value!r}" for name, value in stated.items() if not _EXACT.fullmatch(str(value))]
    fix = "the zoo installs them with ==: name one version x.y.z that was tested, no range, no +cpu"
    return judge("exact versions", problems, fix, f"{len(stated)} packages")


def _tensors(metadata: Mapping[str, Any]) -> Iterator[Finding]:
    problems, first = [], []
    for side, name in (("inputs", "image"), ("outputs", "pred")):
        tensors = reach(metadata, f"network_data_format#{side}")
        if not isinstance(tensors, dict) or not tensors:
            problems.append(f"network_data_format has no {side}")
            continue
        if next(iter(tensors)) != name:
            first.append(f"the first of {side} is {next(iter(tensors))!r}, not {name!r}")
        for key, tensor in tensors.items():
            problems += [f"{side}#{key}: {problem}" for problem in _tensor(tensor)]
    fix = "describe each tensor as the schema wants it: type, format, num_channels, spatial_shape, dtype, value_range"
    yield judge("tensor descriptions", problems, fix, "inputs and outputs")
    yield judge("tensor names", first, "MONAI Label takes the first of each: put image and pred first", "image, pred")
    pred = reach(metadata, "network_data_format#outputs#pred")
    yield _channels(pred if isinstance(pred, dict) else {})


def _tensor(tensor: Any) -> Iterator[str]:
    if not isinstance(tensor, dict):
        yield f"is {tensor!r}, expected an object"
        return
    yield from _kinds(tensor, _TENSOR, True)
    shape, values = (found if isinstance(found := tensor.get(key), list) else [] for key in _LISTS)
    for extent in shape:
        whole = isinstance(extent, int) and not isinstance(extent, bool) and extent > 0
        if not whole and not (isinstance(extent, str) and _EXTENT.fullmatch(extent)):
            yield f'spatial_shape has {extent!r}, expected a number or a form such as "32*n"'
    for bound in values:
        if not isinstance(bound, (int, float)) or isinstance(bound, bool):
            yield f"value_range has {bound!r}, expected numbers"


def _channels(pred: Mapping[str, Any]) -> Finding:
    names, count = pred.get("channel_def"), pred.get("num_channels")
    problems = []
    if not isinstance(names, dict) or not all(isinstance(name, str) for name in names.values()):
        problems.append("outputs#pred has no channel_def that names the classes")
    elif [*names] != [str(channel) for channel in range(count if isinstance(count, int) else 0)]:
        problems.append(f"channel_def has {', '.join(names)}, but num_channels is {count}")
    elif names["0"].lower() != "background":
        problems.append(f"channel 0 is {names['0']!r}, not background")
    fix = 'name each channel from "0", the background, on: MONAI Label shows these labels'
    return judge("channel names", problems, fix, f"{count} classes")
