"""The folders in bundles/: which there are, what kind each is of, and what its configs say."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from helpers.paths import ROOT

BUNDLES = sorted(path.parents[1].name for path in (ROOT / "bundles").glob("*/configs/train.json"))


def read_json(path: Path) -> dict[str, Any]:
    """Read an object, refusing a key that is given twice: Python would keep the last one."""

    def once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        keys = [key for key, _ in pairs]
        twice = sorted({key for key in keys if keys.count(key) > 1})
        assert not twice, f"{path} gives {twice} twice"
        return dict(pairs)

    return json.loads(path.read_text(), object_pairs_hook=once)


def config(bundle: str | Path, name: str) -> Path:
    return ROOT / "bundles" / bundle / "configs" / f"{name}.json"


def readme(bundle: str) -> str:
    return (ROOT / "bundles" / bundle / "docs" / "README.md").read_text()


def leaves(value: Any, prefix: str = "") -> dict[str, Any]:
    """Every key of a nested configuration with `#` between levels, inner nodes included."""
    found = {prefix: value} if prefix else {}
    pairs = value.items() if isinstance(value, Mapping) else enumerate(value) if isinstance(value, list) else ()
    for key, inner in pairs:
        found |= leaves(inner, f"{prefix}#{key}" if prefix else str(key))
    return found


def kind_of(bundle: str | Path) -> str:
    """What a bundle's network sees: slices or volumes."""
    image = read_json(config(bundle, "metadata"))["network_data_format"]["inputs"]["image"]
    return {2: "slices", 3: "volumes"}[len(image["spatial_shape"])]


def phantom_of(bundle: str | Path) -> str:
    """The kind of phantom on which a bundle demonstrates itself."""
    return read_json(config(bundle, "train"))["cohort"].get("phantom", "cardiac")


def classes_of(bundle: str | Path) -> int:
    return read_json(config(bundle, "metadata"))["network_data_format"]["outputs"]["pred"]["num_channels"]


def has_second_network(bundle: str | Path) -> bool:
    """Whether a bundle segments with two networks, which may disagree."""
    return read_json(config(bundle, "inference"))["second_network_def"] is not None


def has_second_weights(bundle: str | Path) -> bool:
    """Whether the second network has a file of its own."""
    return has_second_network(bundle) and read_json(config(bundle, "inference"))["second_checkpoint"] != "@checkpoint"


def network_of(bundle: str | Path) -> str:
    """The class of the network with which a bundle segments."""
    target: str = read_json(config(bundle, "inference"))["network_def"]["_target_"]
    return target


def is_baseline(bundle: str | Path) -> bool:
    return read_json(config(bundle, "train"))["method_def"]["_target_"] == "fewlabel.methods.Supervised"


def shortest(bundles: list[str]) -> str:
    """The bundle with the shortest training config: what it shares with the others is most of it."""
    return min(bundles, key=lambda bundle: len(config(bundle, "train").read_text()))


KINDS = {
    kind: [bundle for bundle in BUNDLES if kind_of(bundle) == kind] for kind in sorted({kind_of(b) for b in BUNDLES})
}
# what all bundles of a kind share is tested with the shortest of its baselines
BASELINES = {kind: shortest([bundle for bundle in bundles if is_baseline(bundle)]) for kind, bundles in KINDS.items()}
ONE_OF_EACH_KIND = pytest.mark.parametrize("bundle", BASELINES.values())
# what also depends on whether there is a second network, with a file of its own or in that of the first, is tested with
# the shortest bundle of each form
_FORM_OF = {bundle: (kind_of(bundle), has_second_network(bundle), has_second_weights(bundle)) for bundle in BUNDLES}
FORMS = sorted(shortest([bundle for bundle in BUNDLES if _FORM_OF[bundle] == form]) for form in set(_FORM_OF.values()))
# and what depends on the architecture with the shortest bundle of each; that of a rare one in make test-slow
_NETWORKS = {network_of(bundle) for bundle in BUNDLES}
NETWORKS = sorted(shortest([bundle for bundle in BUNDLES if network_of(bundle) == network]) for network in _NETWORKS)
ONE_OF_EACH_FORM = pytest.mark.parametrize("bundle", FORMS)
ONE_OF_EACH_NETWORK = pytest.mark.parametrize("bundle", NETWORKS)
ONE_OF_EACH_NETWORK_TRAINED = pytest.mark.parametrize(
    "trained",
    [pytest.param(bundle, marks=[] if bundle in FORMS else pytest.mark.slow) for bundle in NETWORKS],
    indirect=True,
)
EACH = pytest.mark.parametrize("bundle", BUNDLES)
