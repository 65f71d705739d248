"""Which files a bundle must have, may have and must not have."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator
from pathlib import Path

import fewlabel
from fewlabel.bundle.packing.large_files import LARGE_FILES, LIMIT_MB, parse
from fewlabel.bundle.packing.package import sources, stated_version
from fewlabel.bundle.recipes.new_bundle import PLACEHOLDERS
from fewlabel.bundle.recipes.recipe import PARTS, RECIPE
from fewlabel.bundle.verify.contents import CONFIGS, NOTED, Contents
from fewlabel.bundle.verify.report import FAILED, NOTE, OK, Finding, judge
from fewlabel.listing import first_few

_PAPERS = ("LICENSE", "docs/README.md", "docs/data_license.txt")
# the zoo's template, with the names that its bundles use for them
_SECTIONS = (
    ("Description", "Model Description"), ("Data",), ("Preprocessing",), ("Performance",),
    ("Commands", "Additional Usage Steps"), ("System Configuration",), ("Limitations",),
    ("Citation", "Citation Info"), ("References",), ("License",),
)  # fmt: skip
_HASHES = {"md5": 32, "sha1": 40, "sha256": 64, "sha512": 128}
_CODE = (".py", ".pyc", ".pyd", ".pyx", ".so", ".dll", ".dylib", ".pth", ".sh", ".exe", ".egg", ".whl", ".zip")
_OURS = ("fewlabel/", "configs/", "docs/")


def file_rules(contents: Contents) -> Iterator[Finding]:
    """Yield the findings on files."""
    sizes = contents.files.sizes
    missing = [path for path in (*_PAPERS, *CONFIGS) if not sizes.get(path)]
    yield judge(
        "required files",
        [f"{path} is {'empty' if path in sizes else 'missing'}" for path in missing],
        "every bundle has them: add what is missing",
        f"{len(_PAPERS) + len(CONFIGS)} of them",
    )
    yield from _names(contents)
    yield _readme(contents)
    yield from _placeholders(contents)
    yield from _code(contents)
    yield from _large(contents)
    yield _package(contents)


def _names(contents: Contents) -> Iterator[Finding]:
    metadata, files = contents["configs/metadata.json"], contents.files
    name, problems = str(metadata.get("name", "")), []
    if not re.fullmatch(r"[a-z][a-z0-9_]*", files.name):
        problems.append(f"the folder is called {files.name!r}, not in small letters, digits and underscores")
    if name != files.name:
        problems.append(f"the folder is called {files.name!r}, but metadata.json says {name!r}")
    if files.place.suffix == ".zip":
        expected = f"{name}_v{metadata.get('version')}.zip"
        if files.place.name != expected:
            problems.append(f"the zip is called {files.place.name!r}, expected {expected!r}")
    yield judge("names", problems, "folder, metadata and zip share one name; `fewlabel pack` sees to it", name)
    known = _KNOWN if files.place.suffix == ".zip" else _KNOWN | _SOURCES
    strangers = [path for path in sorted(files.sizes) if not path.startswith(_OURS) and path not in known]
    if strangers:
        yield Finding("other files", NOTE, f"{len(strangers)}: {first_few(strangers)}", "leave out what is not used")


_KNOWN = {*_PAPERS, *NOTED, LARGE_FILES}
_SOURCES = {RECIPE, PARTS}  # of a checkout, from which the rest is written; a zip has no use for them


def _readme(contents: Contents) -> Finding:
    path = "docs/README.md"
    text = contents.files.read(path).decode("utf-8", "replace") if path in contents.files.sizes else ""
    headings = {line.lstrip("#").strip().lower() for line in text.splitlines() if line.startswith("#")}
    missing = [names[0] for names in _SECTIONS if not headings & {name.lower() for name in names}]
    fix = "the zoo's template has these sections: add them, saying at least why there is nothing to say"
    return judge("README sections", [f"no section {name}" for name in missing], fix, f"{len(_SECTIONS)} of the zoo's")


def _placeholders(contents: Contents) -> Iterator[Finding]:
    files = contents.files
    for path in ("docs/README.md", "configs/metadata.json"):
        text = files.read(path).decode("utf-8", "replace") if path in files.sizes else ""
        if left := [words for words in PLACEHOLDERS if words in text]:
            yield Finding(
                path, NOTE, f"still has words of `fewlabel new`: {left[0]!r}",
                f"write your own into {PARTS if path.endswith('.md') else RECIPE}, then `fewlabel configs`",
            )  # fmt: skip


def _code(contents: Contents) -> Iterator[Finding]:
    strange = [
        path for path in sorted(contents.files.sizes)
        if path.lower().endswith(_CODE) and not (path.startswith("fewlabel/") and path.endswith(".py"))
    ]  # fmt: skip
    fix = "a bundle is JSON and the package: remove what does not belong; do not run it unless you know what it does"
    yield judge("code outside the package", [first_few(strange)] if strange else [], fix, "none")


def _large(contents: Contents) -> Iterator[Finding]:
    sizes = contents.files.sizes
    listed, problems = [], []
    if LARGE_FILES in sizes:
        try:
            listed = parse(contents.files.read(LARGE_FILES))
        except (ValueError, RecursionError) as error:
            problems.append(str(error))
    for item in listed:
        problems += _entry_problems(str(item["path"]), item, set(sizes))
    yield judge(LARGE_FILES, problems, "`fewlabel pack NAME --url ...` writes it", f"{len(listed)} files elsewhere")
    large = [path for path, size in sorted(sizes.items()) if size > LIMIT_MB * 10**6]
    if large:
        yield Finding(
            "file sizes", NOTE, f"above {LIMIT_MB} MB: {first_few(large)}; the model zoo refuses them",
            "to submit the bundle, pack it with --url, the address of a folder where you put them",
        )  # fmt: skip
    else:
        yield Finding("file sizes", OK, f"none above {LIMIT_MB} MB")


def _entry_problems(path: str, item: dict[str, object], present: set[str]) -> Iterator[str]:
    kind, value = str(item.get("hash_type", "")), str(item.get("hash_val", ""))
    if path.startswith("/") or "\\" in path or ":" in path or ".." in path.split("/"):
        yield f"{path!r} leaves the folder"
    if not path.startswith("models/"):
        yield f"{path!r} is not in models/"
    if path in present:
        yield f"{path!r} is in the bundle too"
    if not str(item["url"]).startswith("https://"):
        yield f"{path!r} is not fetched over https"
    if len(value) != _HASHES.get(kind) or not re.fullmatch(r"[0-9a-f]+", value):
        yield f"{path!r} has no hash_val of a hash_type among {', '.join(_HASHES)}"


def _package(contents: Contents) -> Finding:
    files, check = contents.files, "vendored fewlabel"
    theirs = {
        path.removeprefix("fewlabel/"): hashlib.sha256(files.read(path)).hexdigest()
        for path in files.sizes if path.startswith("fewlabel/") and path.endswith(".py")
    }  # fmt: skip
    if not theirs:
        if files.place.suffix == ".zip":
            return Finding(check, FAILED, "the zip has no folder fewlabel", "pack it with `fewlabel pack`")
        return Finding(check, OK, f"none: the folder runs with the installed one, {fewlabel.__version__}")
    ours = sources(Path(fewlabel.__file__).parent)
    version = (
        stated_version(files.read("fewlabel/version.py").decode("utf-8", "replace"))
        if "version.py" in theirs
        else "unknown"
    )
    if theirs == ours:
        return Finding(check, OK, f"{version}, equal to the one that runs this command")
    different = sorted(path for path in theirs.keys() | ours.keys() if theirs.get(path) != ours.get(path))
    what = f"{len(different)} files differ from the one that runs this command ({first_few(different, 3)})"
    if version == fewlabel.__version__:
        fix = "pack it again; if somebody else packed it, find out what was changed before you run it"
        return Finding(check, FAILED, f"{version} by its number, but {what}", fix)
    fix = f"install fewlabel {version} to check it by its own rules"
    return Finding(check, NOTE, f"{version}, while this command is {fewlabel.__version__}: {what}", fix)
