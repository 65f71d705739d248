"""Overlays of `train.json` by the words behind `--with`."""

from __future__ import annotations

from pathlib import Path

# files of configs/ that are complete alone, or that a command adds itself
_NO_OVERLAYS = {"train", "inference", "evaluate", "metadata"}
_ENDINGS = (".json", ".yaml", ".yml")


def overlay(configs: Path, name: str) -> Path:
    """Return the file of an overlay.

    Args:
        configs: the bundle's folder configs.
        name: the name of one of the bundle's overlays, as ``small`` or ``small.json``; or a file of
            one's own, as ``plan.json``, which comes before the bundle's of that name.

    Raises:
        FileNotFoundError: neither; the message names the overlays that the bundle has.
    """
    known = sorted(file.stem for file in configs.glob("*.json") if file.stem not in _NO_OVERLAYS)
    if name in known:
        return configs / f"{name}.json"
    own = Path(name).absolute()
    if own.is_file() and own.suffix in _ENDINGS:
        return own
    if name.removesuffix(".json") in known:
        return configs / name
    raise FileNotFoundError(
        f"--with {name}: no such overlay; {configs.parent.name} has {', '.join(known) or 'none'}; name one of them, or "
        "a file that ends in .json, .yaml or .yml"
    )


def split_names(words: list[str]) -> list[str]:
    """Split what was typed after ``--with`` at commas, except the name of a file that is there."""
    return [name for word in words for name in ([word] if Path(word).is_file() else word.split(","))]
