"""A comparison as one HTML file that needs nothing else."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape

from fewlabel.comparison.tables.sections import Section
from fewlabel.reports.page import definitions, page, picture, table


def to_html(title: str, command: str, sections: Sequence[Section], image: bytes | None = None) -> str:
    """Return a page.

    Args:
        title: its heading.
        command: what was typed.
        sections: the content.
        image: the picture as PNG, if there is one.
    """
    parts = [f"<header><h1>{escape(title)}</h1>{definitions({'command': command}, 'wide')}</header>"]
    if image is not None:
        parts.append(picture(image, "Lift over the baseline, a dot for each seed", 900))
    for section in sections:
        parts.append(f"<h{section.level}>{escape(section.title)}</h{section.level}>")
        if section.note:
            parts.append(f'<p class="note">{escape(section.note)}</p>')
        if section.header:
            parts.append(table(section.header, section.rows))
    return page(title, parts)
