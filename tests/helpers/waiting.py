"""Plant: let a program wait at a moment that its output tells, so that a test can stop it there."""

from __future__ import annotations

import pkgutil
import time


def wait_at_call(owner: str, method: str, number: int) -> None:
    """Let the `number`-th call of a method say "waiting" and wait; `owner` is its class, as "package.module:Class"."""
    cls = pkgutil.resolve_name(owner)
    real = getattr(cls, method)
    calls = []

    def call(*arguments: object) -> object:
        calls.append(1)
        if len(calls) == number:
            print("waiting", flush=True)
            time.sleep(600)
        return real(*arguments)

    setattr(cls, method, call)
