from __future__ import annotations

import inspect
import subprocess
import sys
from importlib import import_module

import pytest

from fewlabel.data.preparations import PREPARATIONS
from helpers.documented import DOCUMENTS, Command, commands

DOCUMENTED = [
    command
    for document in DOCUMENTS
    for command in commands(document)
    if command.fewlabel and command.fewlabel[0] == "prepare"
]


@pytest.mark.parametrize("place", PREPARATIONS.values())
def test_every_preparation_is_a_function_with_a_report(place: str) -> None:
    module, _, name = place.partition(":")
    assert "report" in inspect.signature(getattr(import_module(module), name)).parameters


def test_checking_and_preparing_start_without_torch_and_monai() -> None:
    modules = [place.partition(":")[0] for place in PREPARATIONS.values()]
    modules += ["fewlabel.data.checks.dataset", "fewlabel.data.preparations", "fewlabel.cli"]
    program = f"import sys, {', '.join(modules)}; print([name in sys.modules for name in ('torch', 'monai')])"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=60, check=True)
    assert done.stdout.strip() == "[False, False]"


@pytest.mark.parametrize("command", DOCUMENTED, ids=str)
def test_a_documented_preparation_has_the_folders_and_options_that_it_takes(command: Command) -> None:
    _, dataset, *words = command.fewlabel or []
    first = next((at for at, word in enumerate(words) if word.startswith("--")), len(words))
    options = {
        word.removeprefix("--"): value for word, value in zip(words[first::2], words[first + 1 :: 2], strict=True)
    }
    module, _, name = PREPARATIONS[dataset].partition(":")
    inspect.signature(getattr(import_module(module), name)).bind(*words[:first], **options)
