"""The checks that run a bundle: a program of its own, so that they meet the bundle's package and no other.

It must not import this package at the top: which copy is imported is what it finds out.
"""

from __future__ import annotations

import json
import sys
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

# check, what is wrong with it or "", what was found
Outcome = tuple[str, str, str]


def outcomes(root: Path, scratch: Path) -> Iterator[Outcome]:
    """Yield what came of building a bundle's networks and workflows on the CPU.

    Args:
        root: the bundle's folder; nothing may be written there.
        scratch: an empty folder for what they write.
    """
    before = _tree(root)
    yield _tried("code of the bundle was run", lambda: _package(root))
    yield _tried("network in and out", lambda: _in_and_out(root))
    for file, key in (("model.pt", "network_def"), ("model_second.pt", "second_network_def")):
        if (root / "models" / file).is_file():
            yield _tried(f"weights in {file} fit", lambda file=file, key=key: _weights(root, file, key))  # type: ignore[misc]
    yield _tried("properties of inference", lambda: _inference(root, scratch / "inference"))
    yield _tried("properties of train", lambda: _training(root, scratch / "train"))
    changed = sorted({path for path, _ in before ^ _tree(root)})
    yield "nothing is written into the bundle", f"changed: {', '.join(changed[:5])}" if changed else "", "as it was"


def _tree(root: Path) -> set[tuple[str, int]]:
    return {(path.relative_to(root).as_posix(), path.stat().st_mtime_ns) for path in root.rglob("*") if path.is_file()}


def _tried(check: str, work: Callable[[], str]) -> Outcome:
    try:
        return check, "", work()
    except Exception as error:  # whatever foreign code raises is the finding
        cause: BaseException = error
        while cause.__cause__ is not None:
            cause = cause.__cause__
        return check, f"{type(cause).__name__}: {' '.join(str(cause).split())[:500]}", ""


def _package(root: Path) -> str:
    import fewlabel

    found = Path(str(fewlabel.__file__)).resolve().parent
    if (root / "fewlabel" / "__init__.py").is_file() and found != (root / "fewlabel").resolve():
        raise RuntimeError(f"the bundle brings fewlabel, but {found} was imported")
    return f"fewlabel {fewlabel.__version__} of {found}"


def _config(root: Path, name: str) -> str:
    return str(root / "configs" / f"{name}.json")


def _in_and_out(root: Path) -> str:
    from monai.bundle import verify_net_in_out

    # 32 and 64 pixels, say: one of them is the other's half on the way down
    for factor in (1, 2):
        verify_net_in_out(
            "network_def", _config(root, "metadata"), _config(root, "inference"), device="cpu", n=factor, p=factor,
            bundle_root=str(root),
        )  # fmt: skip
    return "channels and type as in metadata.json, for two sizes"


def _weights(root: Path, file: str, key: str) -> str:
    from monai.bundle import ConfigParser

    from fewlabel.handlers import load_network

    parser = ConfigParser()
    parser.read_config(_config(root, "inference"))
    parser["bundle_root"] = str(root)
    if f"{key}#_disabled_" in parser:
        parser[f"{key}#_disabled_"] = False  # the second student is built only when it is asked for
    network = parser.get_parsed_content(key)
    load_network(network, root / "models" / file)
    return f"{key}, strictly"


def _workflow(root: Path, name: str, kind: str, **overrides: Any) -> str:
    from monai.bundle import ConfigWorkflow

    workflow = ConfigWorkflow(
        config_file=_config(root, name), meta_file=_config(root, "metadata"), logging_file=False, workflow_type=kind,
        bundle_root=str(root), device="cpu", **overrides,
    )  # fmt: skip
    workflow.initialize()
    if missing := workflow.check_properties():
        raise RuntimeError(f"missing or under another name: {', '.join(missing[:5])}")
    return f"{len(workflow.properties)} defined, the required ones built"


def _inference(root: Path, scratch: Path) -> str:
    import nibabel as nib
    import numpy as np

    scans = scratch / "scans"
    scans.mkdir(parents=True)
    volume = np.random.default_rng(0).random((32, 32, 2), dtype=np.float32)
    nib.save(nib.Nifti1Image(volume, np.eye(4)), scans / "scan.nii.gz")
    return _workflow(root, "inference", "inference", dataset_dir=str(scans), output_dir=str(scratch / "out"))


def _training(root: Path, scratch: Path) -> str:
    # without a dataset it is the demo, on the phantom
    return _workflow(
        root, "train", "train", output_dir=str(scratch / "eval"), ckpt_dir=str(scratch / "models"), num_workers=0
    )


def main(root: str, scratch: str, package: str, result: str) -> None:
    """Write the outcomes as JSON into the file ``result``; ``package`` is the folder of a fewlabel to fall back on."""
    sys.path.append(package)
    sys.path.insert(0, root)  # as MONAI does
    warnings.simplefilter("ignore")
    found = list(outcomes(Path(root), Path(scratch)))
    Path(result).write_text(json.dumps(found), encoding="utf-8")


if __name__ == "__main__":
    main(*sys.argv[1:])
