from __future__ import annotations

import json
import subprocess
import sys

import nibabel as nib
import numpy as np
import pytest

from fewlabel.cli import main
from fewlabel.version import __version__


@pytest.fixture
def folder(tmp_path):
    """A dataset of three labeled scans."""
    random = np.random.default_rng(0)
    for name in ("a", "b", "c"):
        for half, array in (("images", random.normal(size=(4, 4, 3))), ("labels", random.integers(0, 2, (4, 4, 3)))):
            (tmp_path / f"{half}Tr").mkdir(exist_ok=True)
            nib.save(nib.Nifti1Image(array.astype(np.float32), np.eye(4)), tmp_path / f"{half}Tr" / f"{name}.nii.gz")
    (tmp_path / "dataset.json").write_text(json.dumps({"labels": {"background": 0, "liver": 1}}))
    return tmp_path


def test_check_prints_the_report_of_a_sound_dataset(folder, capsys):
    main(["check", str(folder), "--labeled_cases", "2"])
    assert "labeled: 2 cases (2 volumes)" in capsys.readouterr().out


def test_check_exits_with_1_when_the_dataset_has_errors(folder, capsys):
    (folder / "imagesTr/a.nii.gz").write_bytes(b"")
    with pytest.raises(SystemExit, match="1"):
        main(["check", str(folder)])
    assert "1 error, 0 warnings: correct the errors before training" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["check", "nowhere"], "does not exist: expected one with imagesTr, labelsTr and dataset.json"),
        (["check", __file__], "is a file; expected a folder: unpack it first"),
        (["check", ".", "--labeled_cases", "0"], "labeled_cases is 0; expected at least 1 case"),
        (["check", ".", "--labeled_cases", "few"], "labeled_cases is 'few'; expected a whole number"),
    ],
)
def test_a_usage_error_is_one_line_and_exits_with_2(arguments, message, capsys):
    with pytest.raises(SystemExit, match="2"):
        main(arguments)
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("fewlabel: error: ")
    assert message in line


@pytest.mark.parametrize("arguments", [["chekc"], ["check"]])
def test_an_unknown_command_or_a_missing_argument_exits_with_2(arguments):
    with pytest.raises(SystemExit, match="2"):
        main(arguments)


def test_the_package_runs_as_a_module_and_help_imports_no_framework():
    program = "\n".join(
        [
            "import runpy, sys",
            "sys.argv = ['fewlabel', 'check', '--help']",
            "try: runpy.run_module('fewlabel', run_name='__main__')",
            "finally: print('torch' in sys.modules, 'monai' in sys.modules)",
        ]
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0
    assert "False False" in done.stdout
    assert "labeled_cases" in done.stdout + done.stderr


@pytest.mark.parametrize(
    "words", [["train", "--help"], ["evaluate", "mcsc", "--help"], ["segment", "-h"], ["where", "mcsc"]]
)
def test_help_and_the_search_for_a_bundle_import_no_framework(words):
    program = "\n".join(
        [
            "import sys",
            "from fewlabel.cli import main",
            f"main({words!r})",
            "print('torch' in sys.modules, 'monai' in sys.modules)",
        ]
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=60, check=True)
    *said, imported = done.stdout.splitlines()
    assert imported == "False False"
    assert f"    fewlabel {words[0]} mcsc --dataset_dir /data/" in "\n".join(said) or said[0].endswith("mcsc")


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["train"], "fewlabel train needs a bundle first, one of "),
        (["evaluate", "no_such_bundle"], "no_such_bundle: no such bundle; the known ones are "),
        (["train", "mcsc", "--with", "large"], "mcsc has multi_gpu_train, small; name one of them"),
        (["segment", "mcsc", "--dataset_dir", "my", "scans"], "'scans' follows no option"),
        (["copy", "mcsc", "/dev/null"], "can't write the copy"),
        (["where", "2024_02_02"], "2024_02_02: no such bundle"),
        (["check"], "fewlabel check needs DIRECTORY; `fewlabel check --help` says more"),
        (["phantom", "cardiac", "--cases", "3"], "fewlabel phantom needs DIRECTORY; "),
        (["export"], "fewlabel export needs BUNDLE and TO; "),
        (["trian", "mcsc"], "'trian' is no command, the nearest is train; the commands are check, "),
    ],
)
def test_a_bundle_or_option_that_is_not_there_is_one_line_and_exits_with_2(words, message, capsys):
    with pytest.raises(SystemExit, match="2"):
        main(words)
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("fewlabel: error: ")
    assert message in line


def test_a_dataset_is_checked_without_importing_a_framework(phantom):
    program = "\n".join(
        [
            "import sys",
            "from fewlabel.cli import main",
            f"main(['check', {str(phantom)!r}])",
            "print('torch' in sys.modules, 'monai' in sys.modules)",
        ]
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=60, check=True)
    assert "labeled:" in done.stdout
    assert done.stdout.splitlines()[-1] == "False False"


@pytest.mark.parametrize("words", [["prepare", "--help"], ["prepare", "acdc", "-h"]])
def test_help_for_prepare_says_what_it_takes(words, capsys):
    main(words)
    assert "prepare folders IMAGES LABELS OUT" in capsys.readouterr().out


def test_the_version_is_printed(capsys):
    main(["--version"])
    assert capsys.readouterr().out == f"fewlabel {__version__}\n"


def test_what_needs_a_framework_is_imported_when_asked_for():
    import fewlabel.data

    for name in fewlabel.data.__all__:
        assert getattr(fewlabel.data, name).__name__ == name
    with pytest.raises(AttributeError, match="has no attribute 'SliceDataste'"):
        _ = fewlabel.data.SliceDataste


@pytest.mark.parametrize("name", ["c#1", "2024_02_02", "1234", "1e3", "a,b", "None"])
@pytest.mark.parametrize("form", [lambda path: [path], lambda path: [f"--directory={path}"]], ids=["word", "option"])
def test_a_path_arrives_as_typed(name, form, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    main(["phantom", "cardiac", *form(name), "--cases", "3"])
    assert [path.name for path in tmp_path.iterdir()] == [name]
    assert capsys.readouterr().out == f"{name}\n"
    main(["check", *form(name)])
    assert "ready to train" in capsys.readouterr().out


def test_the_names_of_classes_arrive_as_typed(tmp_path, monkeypatch):
    saved = []
    monkeypatch.setattr("fewlabel.networks.vclipseg.text_embedding.save_embeddings", lambda *given: saved.append(given))
    main(["embed", "1e3", "left#atrium", "--out", "2024_02_02", "--template", "{}"])
    ((names, out, _, template),) = saved
    assert (names, out, template) == (["background", "1e3", "left#atrium"], "2024_02_02", "{}")
