"""What a bundle's weights hold, as far as it can be told without unpickling them."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from fewlabel.bundle.checkpoint import NETWORKS
from fewlabel.bundle.packing.large_files import LARGE_FILES, parse
from fewlabel.bundle.verify.contents import Contents, reach
from fewlabel.bundle.verify.pickles import Saved, calls, read_saved
from fewlabel.bundle.verify.report import NOTE, OK, Finding, judge

_MAX_BYTES = 2**30
# what the weights' note and the metadata must agree on
_PROMISES = (("num_classes", "classes", "outputs#pred"), ("in_channels", "channels", "inputs#image"))


def weights_rules(contents: Contents) -> Iterator[Finding]:
    """Yield the findings on weights."""
    sizes = contents.files.sizes
    for path in NETWORKS:
        if path in sizes:
            yield _weights(contents, path)
    if "models/model.pt" not in sizes:
        elsewhere = "models/model.pt" in _listed(contents)
        text = f"models/model.pt lies elsewhere, see {LARGE_FILES}" if elsewhere else "no models/model.pt"
        fix = "" if elsewhere else "train first; of an installed bundle, verify the zip that `fewlabel pack` makes"
        yield Finding("weights", OK if elsewhere else NOTE, text, fix)
    if "models/model.json" in sizes:
        yield _settings(contents)


def _listed(contents: Contents) -> set[str]:
    if LARGE_FILES not in contents.files.sizes:
        return set()
    try:
        return {str(item["path"]) for item in parse(contents.files.read(LARGE_FILES))}
    except (ValueError, RecursionError):
        return set()  # the rules on files tell


def _weights(contents: Contents, path: str) -> Finding:
    fix = "save network.state_dict() with torch.save, tensors only; do not load the file if you do not know its maker"
    if contents.files.sizes[path] > _MAX_BYTES:
        return Finding(path, NOTE, "larger than 1 GiB, not looked into", "--run loads it")
    try:
        saved = read_saved(contents.files.read(path))
    except ValueError as error:
        return judge(path, [str(error)], fix, "")
    return judge(path, list(_faults(saved)), fix, f"a state dict of {len(saved.tensors)} tensors, not unpickled")


def _faults(saved: Saved) -> Iterator[str]:
    if saved.code:
        yield f"unpickling would call {calls(saved)}"
    if saved.kind != "dict":
        yield f"holds {saved.kind}, not a state dict"
    elif saved.others:
        yield f"not a plain state dict: {', '.join(map(repr, saved.others[:4]))} is no tensor"
    elif not saved.tensors:
        yield "holds no tensor"
    elif wrapped := [name for name in saved.tensors if name.startswith("module.")]:
        yield f"{len(wrapped)} names begin with 'module.': saved from a network wrapped for distributed training"


def _settings(contents: Contents) -> Finding:
    problems = []
    for key, what, place in _PROMISES:
        stated: Any = contents["models/model.json"].get(key)
        promised = reach(contents["configs/metadata.json"], f"network_data_format#{place}#num_channels")
        if stated not in (None, promised):
            problems.append(f"trained for {stated} {what}, metadata.json says {promised}")
    return judge("settings of the weights", problems, "describe the network that was trained in metadata.json", "fit")
