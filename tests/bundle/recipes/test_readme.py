from __future__ import annotations

from pathlib import Path

import pytest

from fewlabel.bundle.recipes.readme import bundle_readme

SHARED = """## Description

## Commands

    run {name} with {size} {}

### Options

| option | meaning | default |
|---|---|---|
| `--seed` | of everything | 0 |
{option_rows}
| `--last` | of the table | off |

Shared end.

## License

Free.
"""
PARTS = """# A: an example

What it is.

## Description

Own words about {name}.

### Text

Stays in the description.

### Options

| option | meaning | default |
|---|---|---|
| `--own` | one row | 1 |

Own end.
"""
WRITTEN = """# A: an example

What it is.

## Description

Own words about {name}.

### Text

Stays in the description.

## Commands

    run a with 8 x 8 {}

### Options

| option | meaning | default |
|---|---|---|
| `--seed` | of everything | 0 |
| `--own` | one row | 1 |
| `--last` | of the table | off |

Shared end.

Own end.

## License

Free.
"""


def written(folder: Path, shared: str = SHARED, parts: str = PARTS) -> str:
    (folder / "README.md").write_text(shared)
    (folder / "README.parts.md").write_text(parts)
    return bundle_readme(folder / "README.md", folder / "README.parts.md", {"name": "a", "size": "8 x 8"})


def test_own_texts_stand_below_the_shared_ones_and_own_rows_join_the_table(tmp_path: Path) -> None:
    assert written(tmp_path) == WRITTEN


def test_without_own_options_the_shared_table_is_closed(tmp_path: Path) -> None:
    assert "| 0 |\n| `--last`" in written(tmp_path, parts="# A\n\nWhat it is.\n")


def test_an_unknown_section_is_refused_with_those_that_there_are(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"parts\.md: the section '## Licence' is unknown; expected .*License"):
        written(tmp_path, parts=PARTS + "\n## Licence\n")


def test_a_section_that_is_there_twice_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"parts\.md: the section '## Description' is there twice"):
        written(tmp_path, parts=PARTS + "\n## Description\n")


def test_parts_without_a_title_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"parts\.md: expected the title first"):
        written(tmp_path, parts="## Description\n")


def test_missing_parts_are_named(tmp_path: Path) -> None:
    (tmp_path / "README.md").write_text(SHARED)
    with pytest.raises(FileNotFoundError, match=r"README\.parts\.md: no such file"):
        bundle_readme(tmp_path / "README.md", tmp_path / "README.parts.md", {})
