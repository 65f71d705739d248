"""Render reST formulas, roles and doctests of docstrings: a Griffe extension and a MkDocs hook.

The extension turns formulas into code spans, which Markdown leaves alone; the hook turns these into MathML, which
browsers draw themselves, so that a page fetches nothing.
"""

from __future__ import annotations

import re
from typing import Any

import griffe
from latex2mathml.converter import convert

_BLOCK = re.compile(r"^( *)\.\. math::[ ]*(.*(?:\n(?:[ ]*\n)*\1 +\S.*)*)", re.MULTILINE)
_ROLE = re.compile(r":(\w+):`([^`]+)`")
_DOCTEST = re.compile(r"^( *)>>> .*(?:\n\1\S.*)*", re.MULTILINE)
_MARK = re.compile(r"<code>tex-(block|inline)-([0-9a-f]+)</code>")


def to_markdown(docstring: str) -> str:
    """Return a docstring whose reST is Markdown, and whose formulas are marks for :func:`draw_formulas`."""
    text = _BLOCK.sub(_block_mark, docstring)
    text = _ROLE.sub(_role, text)
    return _DOCTEST.sub(_fenced, text)


def draw_formulas(html: str) -> str:
    """Replace each mark in a page by its formula in MathML.

    Raises:
        latex2mathml.exceptions.LatexToMathMLError or ValueError: a formula is not LaTeX.
    """
    return _MARK.sub(lambda mark: _mathml(bytes.fromhex(mark[2]).decode(), mark[1]), html)


def on_page_content(html: str, **_: Any) -> str:
    """Draw the formulas of a page; MkDocs calls this for each."""
    return draw_formulas(html)


class DocstringMarkdown(griffe.Extension):
    """Rewrite each docstring before its sections are parsed."""

    def on_object(self, *, obj: griffe.Object, **_: Any) -> None:
        """Rewrite the docstring of one module, class, function or attribute."""
        if obj.docstring is not None:
            obj.docstring.value = to_markdown(obj.docstring.value)


def _block_mark(found: re.Match[str]) -> str:
    return f"\n{found[1]}{_mark(found[2], 'block')}\n"


def _role(found: re.Match[str]) -> str:
    role, text = found.groups()
    if role == "math":
        return _mark(text, "inline")
    return f"`{text.rsplit('.', 1)[-1]}`" if text.startswith("~") else f"`{text}`"


def _fenced(found: re.Match[str]) -> str:
    indent = found[1]
    return f"{indent}```pycon\n{found[0]}\n{indent}```"


def _mark(latex: str, display: str) -> str:
    return f"`tex-{display}-{' '.join(latex.split()).encode().hex()}`"


def _mathml(latex: str, display: str) -> str:
    return convert(latex, display=display)
