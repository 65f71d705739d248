from __future__ import annotations

import importlib.util
from types import ModuleType

import pytest

from helpers.documented import ROOT


@pytest.fixture(scope="module")
def hook() -> ModuleType:
    spec = importlib.util.spec_from_file_location("docstrings_hook", ROOT / "docs" / "hooks" / "docstrings.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_a_formula_in_a_line_becomes_mathml(hook: ModuleType) -> None:
    tau = rb"\tau".hex()
    mark = hook.to_markdown(r"the :math:`\tau` of it")
    assert mark == f"the `tex-inline-{tau}` of it"
    html = hook.draw_formulas(mark.replace("`t", "<code>t").replace("` of", "</code> of"))
    assert "<math" in html
    assert "<mi>&#x003C4;</mi>" in html


def test_a_formula_of_several_lines_is_one_block_and_ends_where_the_text_goes_on(hook: ModuleType) -> None:
    text = hook.to_markdown("Loss\n\n.. math::\n    a +\n    b\n\nwith a.")
    assert f"`tex-block-{b'a + b'.hex()}`" in text
    assert text.endswith("\n\nwith a.")


def test_roles_become_code_and_a_tilde_keeps_the_last_name(hook: ModuleType) -> None:
    assert hook.to_markdown("See :func:`a.b` and :class:`~c.D`.") == "See `a.b` and `D`."


def test_an_example_becomes_a_fenced_block(hook: ModuleType) -> None:
    assert hook.to_markdown(">>> 1 + 1\n2\n\nEnd") == "```pycon\n>>> 1 + 1\n2\n```\n\nEnd"
