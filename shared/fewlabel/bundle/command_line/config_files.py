"""Load a config file as MONAI does, but notice what MONAI passes over or tells without the file's name."""

from __future__ import annotations

import codecs
import warnings
from pathlib import Path
from typing import Any

import yaml
from monai.bundle import ConfigParser

from fewlabel.json_files import read_json, require_flat


def load_config(file: str) -> dict[str, Any]:
    """Return what a config file or an overlay holds.

    Args:
        file: JSON or YAML, by its ending.

    Raises:
        FileNotFoundError: there is no such file, or a link in place of its content.
        ValueError: the file is no JSON or YAML (with the line), gives a key twice, of which MONAI would take the last,
            or holds no object.

    """
    path = Path(file)
    content = _read_json(path) if path.suffix.lower() == ".json" else _read_yaml(path)
    if not isinstance(content, dict):
        raise ValueError(f"{path} holds a {type(content).__name__}; a config is one object, of keys and values")
    return content


def _read_json(path: Path) -> Any:
    content = read_json(path)
    with open(path, "rb") as stream:
        if stream.read(3) == codecs.BOM_UTF8:
            raise ValueError(f"{path} begins with a byte order mark, which MONAI does not read: save it without one")
    return content


def _read_yaml(path: Path) -> Any:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error")  # MONAI warns of a key that is there twice
            content = ConfigParser.load_config_file(path)
    except OSError:
        raise
    except (ValueError, RecursionError, UserWarning, yaml.YAMLError) as error:
        reason = " ".join(str(error).split())
        raise ValueError(f"{path} is not valid YAML: {reason}; correct it") from error
    require_flat(content, path, "YAML")
    return content
