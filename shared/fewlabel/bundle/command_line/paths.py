"""Find the paths that `monai.bundle` does not read as they were typed."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

_IS_PATH = re.compile(r"(^|[_#:])((dir|path|root|file|checkpoint|history|text)|checkpoints(#|::)\w+)$")


def require_paths_as_typed(overrides: Mapping[str, Any], typed: Mapping[str, str]) -> None:
    """Refuse a path that `monai.bundle` reads as another one, or as a number: it takes words for Python.

    Args:
        overrides: values by key, as `monai.bundle` reads them.
        typed: the text of each.

    Raises:
        ValueError: a path is not what was typed; the message says how to write it.

    """
    for key, text in typed.items():
        value = overrides.get(key)
        if not _IS_PATH.search(key) or text.startswith("$"):
            continue
        if "#" in text:
            written = text.strip("'\"").replace("#", r"\x23").replace("@", r"\x40").replace("%", r"\x25")
            raise ValueError(
                f"--{key} {text}: monai.bundle reads # in a path as a comment or as ::; write --{key} \"$'{written}'\""
            )
        if text == "None":
            raise ValueError(
                f"--{key} None: monai.bundle ignores None; leave the option out, or write ./None for a path"
            )
        quoted = isinstance(value, str) and text[:1] in ("'", '"') and text[-1] == text[0]
        if value != text and not quoted:
            raise ValueError(
                f"--{key} {text}: monai.bundle reads {value!r} where a path must be; write ./{text}, or the whole path "
                "from /"
            )
