"""Read the commands that the documentation shows."""

from __future__ import annotations

import ast
import re
import shlex
from dataclasses import dataclass
from pathlib import Path

from helpers.paths import ROOT

PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").glob("*.md"))]
DOCUMENTS = [*PAGES, *sorted(ROOT.glob("bundles/*/docs/README.md"))]
_FENCED = re.compile(r"^```bash\n(.*?)^```", re.MULTILINE | re.DOTALL)
_INDENTED = re.compile(r"(?:^    .*\n)+", re.MULTILINE)
_BUNDLE = ["-m", "monai.bundle"]


@dataclass(frozen=True)
class Command:
    """One command of one document, as words."""

    document: str
    words: tuple[str, ...]

    def __str__(self) -> str:
        return f"{self.document}: {' '.join(self.words)}"

    @property
    def fewlabel(self) -> list[str] | None:
        """The arguments of the command `fewlabel`."""
        if self.words[0] == "fewlabel":
            return list(self.words[1:])
        return list(self.words[3:]) if self.words[:3] == ("python", "-m", "fewlabel") else None

    @property
    def launcher(self) -> list[str] | None:
        """What comes before the arguments of `monai.bundle`: `python` or `torchrun` with its options."""
        for at in range(len(self.words)):
            if list(self.words[at : at + 2]) == _BUNDLE:
                return list(self.words[:at])
        return None

    @property
    def bundle(self) -> str:
        """The bundle that a command for `monai.bundle` is about."""
        return self.configs[0].parts[1]

    @property
    def verb(self) -> str:
        """What `monai.bundle` is to do: run, ckpt_export."""
        return self.words[len(self.launcher or []) + 2]

    @property
    def options(self) -> dict[str, str]:
        """`--key value` of a command for `monai.bundle`."""
        words = list(self.words[len(self.launcher or []) + 3 :])
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
    lines = "\n".join(blocks).replace("\\\n", " ").splitlines()
    # as in a shell, a number sign begins a comment only after a blank
    split = (tuple(shlex.split(re.sub(r"(^|\s)#.*", "", line))) for line in lines)
    return [Command(path.relative_to(ROOT).as_posix(), words) for words in split if words]
