"""Read the commands that the documentation shows."""

from __future__ import annotations

import ast
import re
import shlex
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise
from pathlib import Path

from fewlabel.cli import HANDED_OVER
from fewlabel.launch import long_form
from helpers.paths import ROOT

PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").glob("*.md"))]
DOCUMENTS = [*PAGES, *sorted(ROOT.glob("bundles/*/docs/README.md"))]
_FENCED = re.compile(r"^```bash\n(.*?)^```", re.MULTILINE | re.DOTALL)
_INDENTED = re.compile(r"(?:^    .*\n)+", re.MULTILINE)
_WHERE = re.compile(r"\$\(fewlabel where (\w+)\)")
_BUNDLE = ["-m", "monai.bundle"]


@dataclass(frozen=True)
class Command:
    """One command of one document, as words."""

    document: str
    words: tuple[str, ...]

    def __str__(self) -> str:
        return f"{self.document}: {' '.join(self.words)}"

    @cached_property
    def long(self) -> tuple[str, ...]:
        """The words, of `fewlabel train`, `evaluate` and `segment` those of the long form."""
        for at, (name, command) in enumerate(pairwise(self.words)):
            if name == "fewlabel" and command in HANDED_OVER:
                launcher = self.words[: at - 1] if self.words[at - 1 : at] == ("-m",) else ("python",)
                return (*launcher, *_BUNDLE, *long_form(command, self.words[at + 2 :]))
        return self.words

    @property
    def fewlabel(self) -> list[str] | None:
        """The arguments of the command `fewlabel`, but of those that are handed over to `monai.bundle`."""
        if self.long is not self.words:
            return None
        if self.words[0] == "fewlabel":
            return list(self.words[1:])
        return list(self.words[3:]) if self.words[:3] == ("python", "-m", "fewlabel") else None

    @property
    def launcher(self) -> list[str] | None:
        """What comes before the arguments of `monai.bundle`: `python` or `torchrun` with its options."""
        for at in range(len(self.long)):
            if list(self.long[at : at + 2]) == _BUNDLE:
                return list(self.long[:at])
        return None

    @property
    def bundle(self) -> str:
        """The bundle that a command for `monai.bundle` is about."""
        return (ROOT / self.configs[0]).parents[1].name

    @property
    def verb(self) -> str:
        """What `monai.bundle` is to do: run, ckpt_export."""
        return self.long[len(self.launcher or []) + 2]

    @property
    def options(self) -> dict[str, str]:
        """`--key value` of a command for `monai.bundle`."""
        words = list(self.long[len(self.launcher or []) + 3 :])
        words = words[1:] if words and not words[0].startswith("--") else words  # ckpt_export names the network first
        assert len(words) % 2 == 0, f"{self}: every option takes one value"
        assert all(key.startswith("--") for key in words[::2]), f"{self}: every option begins with --"
        return {key[2:]: value for key, value in zip(words[::2], words[1::2], strict=True)}

    @property
    def configs(self) -> list[Path]:
        """The config files."""
        given = self.options["config_file"]
        return [Path(name) for name in (ast.literal_eval(given) if given.startswith("[") else [given])]


def commands(path: Path) -> list[Command]:
    """Every command of a document, in its order."""
    text = path.read_text(encoding="utf-8")
    blocks = _FENCED.findall(text)
    if "bundles" in path.parts:  # the zoo's READMEs indent
        blocks += [block for block in _INDENTED.findall(text) if "monai.bundle" in block or "fewlabel" in block]
    lines = re.sub(_WHERE, r"bundles/\1", "\n".join(blocks)).replace("\\\n", " ").splitlines()
    # as in a shell, a number sign begins a comment only after a blank
    split = (tuple(shlex.split(re.sub(r"(^|\s)#.*", "", line))) for line in lines)
    return [Command(path.relative_to(ROOT).as_posix(), words) for words in split if words]
