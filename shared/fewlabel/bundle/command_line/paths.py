"""Find the texts that `monai.bundle` does not read as they were typed."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from fewlabel.launch.words import is_text, quoted

_REFERENCES = ("$", "@", "%")


def require_texts_as_typed(overrides: Mapping[str, Any], typed: Mapping[str, str]) -> None:
    """Refuse a path or name that `monai.bundle` reads as another one, or as a number: it takes words for Python.

    Args:
        overrides: values by key, as `monai.bundle` reads them.
        typed: the text of each.

    Raises:
        ValueError: a value is not what was typed; the message says how to write it.

    """
    for key, text in typed.items():
        value = overrides.get(key)
        if not is_text(key) or text.startswith(_REFERENCES):
            continue
        if "#" in text:
            written = text.strip("'\"").replace("#", r"\x23").replace("@", r"\x40").replace("%", r"\x25")
            raise ValueError(
                f"--{key} {text}: monai.bundle reads # in a path as a comment or as ::; write --{key} \"$'{written}'\""
            )
        if text == "None":
            raise ValueError(
                f"--{key} None: monai.bundle ignores None; leave the option out, or write --{key} {quoted(text)}"
            )
        if value is True and text == "True":
            raise ValueError(
                f"--{key}: no value follows; give it one, or write --{key} {quoted(text)} if it is called True"
            )
        explicit = isinstance(value, str) and text[:1] in ("'", '"') and text[-1] == text[0]
        if value != text and not explicit:
            raise ValueError(
                f"--{key} {text}: monai.bundle reads {value!r} where a path or name must be; write "
                f"--{key} {quoted(text)}"
            )
