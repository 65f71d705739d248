"""A comparison as Markdown."""

from __future__ import annotations

from collections.abc import Sequence

from fewlabel.comparison.tables.sections import Section


def to_markdown(title: str, command: str, sections: Sequence[Section], picture: str | None = None) -> str:
    """Return a page.

    Args:
        title: its heading.
        command: what was typed.
        sections: the content.
        picture: file name of the picture, if there is one.
    """
    parts = [f"# {title}", f"```text\n{command}\n```"]
    if picture is not None:
        parts.append(f"![Lift over the baseline, a dot for each seed]({picture})")
    for section in sections:
        parts.append(f"{'#' * section.level} {section.title}")
        if section.note:
            parts.append(section.note)
        if section.header:
            rule = "|" + "---|" * len(section.header)
            parts.append("\n".join([_row(section.header), rule, *map(_row, section.rows)]))
    return "\n\n".join(parts) + "\n"


def _row(cells: Sequence[str]) -> str:
    escaped = (" ".join(cell.split()).replace("|", "\\|") for cell in cells)
    return f"| {' | '.join(escaped)} |"
