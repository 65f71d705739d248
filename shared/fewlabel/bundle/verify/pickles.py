"""Tell what a file of weights holds without unpickling it.

``torch.save`` writes a zip with a pickle in it, and a pickle is a program: reading it the usual way runs it. Here its
instructions are followed on placeholders; names of code are recorded and never looked up.
"""

from __future__ import annotations

import io
import pickletools
import zipfile
from dataclasses import dataclass, field
from typing import Any

_REBUILD = "torch._utils _rebuild_tensor_v2"
_HARMLESS = {_REBUILD, "collections OrderedDict", "torch._utils _rebuild_parameter"}
_MAX_PICKLE = 16 * 2**20
_MARK = object()
_BROKEN = (zipfile.BadZipFile, NotImplementedError, RuntimeError, EOFError, OSError, ValueError, LookupError, TypeError)


@dataclass
class Saved:
    """What a file of ``torch.save`` holds.

    Args:
        tensors: shape of each tensor of the state dict by its name.
        others: names in the state dict whose value is no tensor.
        code: code that unpickling would call, beyond what tensors need: "os system".
        kind: "dict" for a state dict, else what it is.
    """

    tensors: dict[str, tuple[int, ...]] = field(default_factory=dict)
    others: list[str] = field(default_factory=list)
    code: list[str] = field(default_factory=list)
    kind: str = "dict"


@dataclass
class _Call:
    """The result of a call that never took place."""

    name: str
    arguments: tuple[Any, ...]


def read_saved(content: bytes) -> Saved:
    """Return what the bytes of a file of weights hold; nothing in it runs.

    Raises:
        ValueError: it was not written by ``torch.save``, or holds more than a state dict of tensors can.
    """
    try:
        with zipfile.ZipFile(io.BytesIO(content)) as packed:
            (name,) = (name for name in packed.namelist() if name.endswith("/data.pkl") and name.count("/") == 1)
            if packed.getinfo(name).file_size > _MAX_PICKLE:
                raise ValueError("its list of names is larger than that of any network")
            pickled = packed.read(name)
    except _BROKEN as error:
        raise ValueError(f"not written by torch.save ({error})") from error
    saved = Saved()
    try:
        held = _Machine(saved).run(pickled)
    except _BROKEN as error:
        called = f"unpickling would call {calls(saved)}; " if saved.code else ""
        raise ValueError(f"{called}holds what no state dict needs ({error or type(error).__name__})") from error
    if not isinstance(held, dict):
        saved.kind = held.name if isinstance(held, _Call) else type(held).__name__
        return saved
    for key, value in held.items():
        shape = _shape(value)
        if isinstance(key, str) and shape is not None:
            saved.tensors[key] = shape
        else:
            saved.others.append(str(key))
    return saved


def calls(saved: Saved) -> str:
    """Return the code that unpickling would call, as words."""
    return ", ".join(code.replace(" ", ".") for code in sorted(set(saved.code))[:5])


def _shape(value: Any) -> tuple[int, ...] | None:
    if isinstance(value, _Call) and value.name == "torch._utils _rebuild_parameter" and value.arguments:
        value = value.arguments[0]
    if not isinstance(value, _Call) or value.name != _REBUILD or len(value.arguments) < 3:
        return None
    shape = value.arguments[2]
    return shape if isinstance(shape, tuple) and all(isinstance(extent, int) for extent in shape) else None


class _Machine:
    """The stack and memo of a pickle, with placeholders for everything that would be a call."""

    def __init__(self, saved: Saved) -> None:
        self.saved = saved
        self.stack = list[Any]()
        self.memo = dict[int, Any]()

    def run(self, pickled: bytes) -> Any:
        for opcode, argument, _ in pickletools.genops(pickled):
            if opcode.name == "STOP":
                return self.stack.pop()
            self._step(opcode.name, argument)
        raise ValueError("it ends early")

    def _step(self, name: str, argument: Any) -> None:
        if name in _CONSTANTS:
            self.stack.append(_CONSTANTS[name]())
        elif name in _LITERALS:
            self.stack.append(argument)
        elif name in ("BINPUT", "LONG_BINPUT", "PUT", "MEMOIZE"):
            self.memo[len(self.memo) if name == "MEMOIZE" else int(argument)] = self.stack[-1]
        elif name in ("BINGET", "LONG_BINGET", "GET"):
            self.stack.append(self.memo[int(argument)])
        elif name in _STEPS:
            getattr(self, _STEPS[name])(argument)
        elif name not in ("PROTO", "FRAME"):
            if name == "INST":  # names code and calls it in one
                self.saved.code.append(str(argument))
            raise ValueError(f"the instruction {name}")

    def _marked(self) -> list[Any]:
        at = max(place for place, item in enumerate(self.stack) if item is _MARK)
        taken = self.stack[at + 1 :]
        del self.stack[at:]
        return taken

    def _global(self, argument: str) -> None:
        module, _, attribute = argument.partition(" ")
        if argument not in _HARMLESS and not (module == "torch" and attribute.endswith("Storage")):
            self.saved.code.append(argument)
        self.stack.append(_Call(argument, ()))

    def _stack_global(self, _: None) -> None:
        attribute, module = self.stack.pop(), self.stack.pop()
        self._global(f"{module} {attribute}")

    def _reduce(self, _: None) -> None:
        arguments, function = self.stack.pop(), self.stack.pop()
        called = function.name if isinstance(function, _Call) else str(function)
        self.stack.append({} if called == "collections OrderedDict" and not arguments else _Call(called, arguments))

    def _persistent(self, _: None) -> None:
        self.stack[-1] = _Call("storage", ())

    def _build(self, _: None) -> None:
        self.stack.pop()  # the attributes of the object below: an OrderedDict's _metadata

    def _set_items(self, _: None) -> None:
        self._set(self._marked())

    def _set_item(self, _: None) -> None:
        value, key = self.stack.pop(), self.stack.pop()
        self._set([key, value])

    def _set(self, pairs: list[Any]) -> None:
        if isinstance(self.stack[-1], dict):
            keys = (key if isinstance(key, (str, int)) else repr(key)[:40] for key in pairs[::2])
            self.stack[-1].update(zip(keys, pairs[1::2], strict=True))

    def _tuple(self, _: None) -> None:
        self.stack.append(tuple(self._marked()))

    def _short_tuple(self, size: int) -> None:
        taken = self.stack[-size:]
        del self.stack[-size:]
        self.stack.append(tuple(taken))

    def _tuple1(self, _: None) -> None:
        self._short_tuple(1)

    def _tuple2(self, _: None) -> None:
        self._short_tuple(2)

    def _tuple3(self, _: None) -> None:
        self._short_tuple(3)

    def _append(self, _: None) -> None:
        item = self.stack.pop()
        self.stack[-1].append(item)

    def _appends(self, _: None) -> None:
        items = self._marked()
        self.stack[-1].extend(items)


_CONSTANTS: dict[str, Any] = {
    "MARK": lambda: _MARK, "EMPTY_DICT": dict, "EMPTY_TUPLE": tuple, "EMPTY_LIST": list, "NONE": lambda: None,
    "NEWTRUE": lambda: True, "NEWFALSE": lambda: False,
}  # fmt: skip
_LITERALS = {
    "BINUNICODE", "SHORT_BINUNICODE", "BINUNICODE8", "BININT", "BININT1", "BININT2", "LONG1", "BINFLOAT", "BINSTRING",
    "SHORT_BINSTRING", "BINBYTES", "SHORT_BINBYTES",
}  # fmt: skip
_STEPS = {
    "GLOBAL": "_global", "STACK_GLOBAL": "_stack_global", "REDUCE": "_reduce", "NEWOBJ": "_reduce",
    "BINPERSID": "_persistent", "BUILD": "_build", "SETITEMS": "_set_items", "SETITEM": "_set_item",
    "TUPLE": "_tuple", "TUPLE1": "_tuple1", "TUPLE2": "_tuple2", "TUPLE3": "_tuple3", "APPEND": "_append",
    "APPENDS": "_appends",
}  # fmt: skip
