from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

import fewlabel
from fewlabel.bundle import require_same_package
from fewlabel.bundle.packing import package
from fewlabel.bundle.packing.package import package_version

PACKAGE = Path(fewlabel.__file__).parent


@pytest.fixture
def carrying(tmp_path: Path) -> Path:
    """A bundle with a copy of the loaded package."""
    shutil.copytree(PACKAGE, tmp_path / "fewlabel", ignore=shutil.ignore_patterns("__pycache__"))
    return tmp_path


def test_a_bundle_without_a_package_of_its_own_runs_with_any(tmp_path: Path) -> None:
    require_same_package(tmp_path)
    require_same_package(tmp_path / "missing")
    (tmp_path / "fewlabel").mkdir()  # an empty folder is no package
    require_same_package(tmp_path)


def test_an_equal_copy_is_the_same_package_whatever_lies_beside_its_code(carrying: Path) -> None:
    (carrying / "fewlabel" / "__pycache__").mkdir()
    (carrying / "fewlabel" / "__pycache__" / "cli.cpython-311.pyc").write_bytes(b"compiled")
    (carrying / "fewlabel" / "notes.txt").write_text("mine")
    require_same_package(str(carrying))


def test_another_version_is_an_error_that_names_both_places_both_versions_and_the_cure(carrying: Path) -> None:
    (carrying / "fewlabel" / "version.py").write_text('"""."""\n\n__version__ = "9.8.7"\n')
    with pytest.raises(ValueError, match=r"brings fewlabel 9\.8\.7, but this process runs") as caught:
        require_same_package(carrying)
    for part in (str(carrying), str(PACKAGE), fewlabel.__version__, "version.py", f"PYTHONPATH={carrying}"):
        assert part in str(caught.value)


@pytest.mark.parametrize("change", ["changed", "added", "removed"])
def test_the_same_version_with_other_code_is_an_error_that_names_a_file(change: str, carrying: Path) -> None:
    file = carrying / "fewlabel" / "losses" / ("new.py" if change == "added" else "region.py")
    if change == "removed":
        file.unlink()
    else:
        file.write_text("x = 1\n")
    with pytest.raises(ValueError, match=rf"their code differs \(losses/{file.name}, say\)"):
        require_same_package(carrying)


def test_a_package_that_was_replaced_while_it_ran_wants_a_new_process(
    carrying: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(fewlabel, "__file__", str(carrying / "fewlabel" / "__init__.py"))
    require_same_package(carrying)
    (carrying / "fewlabel" / "cli.py").write_text("")
    with pytest.raises(ValueError, match=r"replaced by version .* \(cli\.py differs\): restart the process"):
        require_same_package(carrying)
    package._loaded_sources.cache_clear()
    require_same_package(carrying)


def test_a_package_without_a_stated_version_has_an_unknown_one(tmp_path: Path) -> None:
    assert package_version(tmp_path) == "unknown"
    assert package_version(PACKAGE) == fewlabel.__version__


SERVER = """
import json, sys
from monai.bundle import ConfigParser

def network_of(root):  # what MONAI Label does: the bundle's folder first while its config is evaluated, then not at all
    sys.path.insert(0, root)
    try:
        parser = ConfigParser()
        parser.read_config(root + "/configs/inference.json")
        parser.config["bundle_root"] = root
        return parser.get_parsed_content("network_def", instantiate=True)
    finally:
        sys.path.remove(root)

said = {}
for root in sys.argv[1:]:
    try:
        said[root] = type(network_of(root)).__module__
    except Exception as error:
        while error.__cause__ is not None:
            error = error.__cause__
        said[root] = str(error)
import fewlabel
print(json.dumps({"package": fewlabel.__file__, "said": said}))
"""


def test_of_two_versions_in_one_server_the_second_is_refused_and_equal_ones_share(tmp_path: Path) -> None:
    from fewlabel.bundle import pack_bundle

    roots = [tmp_path / place / name for place, name in (("1", "supervised"), ("2", "cts"), ("3", "mcsc"))]
    for root in roots:
        shutil.unpack_archive(pack_bundle(root.name, tmp_path / "dist", weights=False), root.parent)
    (roots[2] / "fewlabel" / "version.py").write_text('"""."""\n\n__version__ = "0.0.9"\n')
    done = subprocess.run(
        [sys.executable, "-I", "-c", SERVER, *map(str, roots)],
        cwd=tmp_path, capture_output=True, text=True, timeout=300, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-3000:]
    told = json.loads(done.stdout.splitlines()[-1])
    assert told["package"] == str(roots[0] / "fewlabel" / "__init__.py")
    one, same, other = (told["said"][str(root)] for root in roots)
    assert one == same == "fewlabel.networks.unet"
    assert "brings fewlabel 0.0.9" in other
    assert str(roots[0] / "fewlabel") in other
