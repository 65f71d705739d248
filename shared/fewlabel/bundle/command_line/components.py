"""Which keys a component of a config takes."""

from __future__ import annotations

import inspect
from pydoc import locate
from typing import Any

from monai.bundle import ConfigComponent, ConfigParser, ReferenceResolver

ANY = "**"


def is_argument(parser: ConfigParser, key: str) -> bool:
    """Return whether a component takes this key, or the data that it is in, as an argument."""
    *above, name = ReferenceResolver.split_id(key)
    places = [parser.get(ReferenceResolver.sep.join(above[:length])) for length in range(1, len(above) + 1)]
    if not places or not isinstance(places[-1], dict):
        return False
    if ConfigComponent.is_instantiable(places[-1]):
        return not arguments(places[-1]).isdisjoint({name, ANY})
    return any(ConfigComponent.is_instantiable(place) for place in places)


def arguments(component: dict[str, Any]) -> set[str]:
    """Return what the constructor of a component takes and what MONAI reads beside it; with ANY if it takes anything.

    Args:
        component: its config, which has a `_target_`.

    """
    target = ConfigComponent(component).resolve_module_name()
    constructor = locate(target) if isinstance(target, str) else target
    try:
        parameters = inspect.signature(constructor).parameters.values()  # type: ignore[arg-type]
    except (TypeError, ValueError):  # no such constructor, about which MONAI complains, or one without a signature
        return {ANY}
    takes_any = any(parameter.kind is parameter.VAR_KEYWORD for parameter in parameters)
    return {*(parameter.name for parameter in parameters), *ConfigComponent.non_arg_keys, *([ANY] if takes_any else [])}
