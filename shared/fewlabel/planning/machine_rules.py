"""Settings that follow from the machine alone."""

from __future__ import annotations

from collections.abc import Iterator

from fewlabel.planning.settings import Setting
from fewlabel.planning.template import Template


def machine_settings(template: Template, bfloat16: bool) -> Iterator[Setting]:
    """Yield the precision, as far as the bundle has a key for it.

    Args:
        template: configs of the bundle.
        bfloat16: whether networks compute faster in bfloat16 on this machine, see
            :func:`fewlabel.conventions.precision.use_bfloat16`.
    """
    if bfloat16 and template.has("amp"):
        yield Setting("amp", "auto", "this machine has instructions for bfloat16")
