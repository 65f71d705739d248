"""A bundle's README, from the sections that its kind shares and the parts that are written for it alone."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path

_HEADING = re.compile(r"^#{1,6} ")
_ROWS = "{option_rows}"
_TABLE_HEAD = ("| option | meaning | default |", "|---|---|---|")


def bundle_readme(shared: Path, parts: Path, values: Mapping[str, str]) -> str:
    """Return a README: the shared sections in their order, each followed by the bundle's own text of that heading.

    Rows of the own table under "Options" join the shared table. Headings of the bundle's own that no section of the
    shared file has, from the third level on, belong to the section that they stand in.

    Args:
        shared: the kind's sections; ``{name}`` and other keys of ``values`` in braces are replaced in them.
        parts: the bundle's own texts: title, summary and sections.
        values: what to put for the placeholders.

    Raises:
        FileNotFoundError: one of the files is missing.
        ValueError: the parts have no title, or a heading that the shared file does not have or that is there twice.
    """
    sections = _sections(_read(shared), None, shared)
    own = _sections(_read(parts), set(sections), parts)
    title = own.pop("", "").strip()
    if not title.startswith("# "):
        raise ValueError(f"{parts}: expected the title first, a line such as '# CTS: cross teaching'")
    written = [title]
    for heading, text in sections.items():
        if not heading:
            continue
        added = own.get(heading, "")
        for key, value in values.items():
            text = text.replace(f"{{{key}}}", value)
        if _ROWS in text:
            rows, added = _table(added)
            text = text.replace(f"{_ROWS}\n", "".join(f"{row}\n" for row in rows))
        written += [heading, *(part for part in (text.strip("\n"), added.strip("\n")) if part)]
    return "\n\n".join(written) + "\n"


def _read(file: Path) -> str:
    if not file.is_file():
        raise FileNotFoundError(f"{file}: no such file; every bundle and kind has one, so add it")
    return file.read_text(encoding="utf-8")


def _sections(text: str, known: set[str] | None, file: Path) -> dict[str, str]:
    """Split a text at its headings, or at those that are known; what stands before the first is under ``""``."""
    found: dict[str, list[str]] = {"": []}
    heading = ""
    for line in text.splitlines():
        if not _HEADING.match(line) or line.startswith("# "):
            found[heading].append(line)
        elif known is not None and line not in known:
            if line.startswith("## "):
                names = ", ".join(sorted(name.lstrip("# ") for name in known if name))
                raise ValueError(f"{file}: the section {line!r} is unknown; expected one of {names}")
            found[heading].append(line)
        elif line in found:
            raise ValueError(f"{file}: the section {line!r} is there twice; join them")
        else:
            heading = line
            found[heading] = []
    return {name: "\n".join(lines) for name, lines in found.items()}


def _table(text: str) -> tuple[list[str], str]:
    """Take the rows of the first table of options out of a text."""
    lines = text.strip("\n").splitlines()
    if tuple(lines[:2]) != _TABLE_HEAD:
        return [], text
    end = next((number for number, line in enumerate(lines) if not line.startswith("|")), len(lines))
    return lines[2:end], "\n".join(lines[end:])
