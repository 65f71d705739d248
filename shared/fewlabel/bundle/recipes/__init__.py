"""Bundles written from what all of a kind share and from one recipe each."""

from fewlabel.bundle.recipes.new_bundle import new_bundle
from fewlabel.bundle.recipes.write import check_configs, write_configs

__all__ = ["check_configs", "new_bundle", "write_configs"]
