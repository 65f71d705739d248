"""Plant a fault, then run a module as `python -m` does: python -m helpers.planted <plant as JSON> <module> <words>."""

from __future__ import annotations

import importlib.util
import json
import runpy
import signal
import sys


def main() -> None:
    signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell's background jobs inherit that it is ignored
    file, name, arguments = json.loads(sys.argv[1])
    module = sys.argv[2]
    sys.argv[1:] = sys.argv[3:]
    spec = importlib.util.spec_from_file_location("plant", file)
    assert spec is not None
    assert spec.loader is not None
    planting = importlib.util.module_from_spec(spec)
    sys.modules["plant"] = planting  # where dataclasses look for their module
    spec.loader.exec_module(planting)
    getattr(planting, name)(*arguments)
    runpy.run_module(module, run_name="__main__", alter_sys=True)


if __name__ == "__main__":
    main()
