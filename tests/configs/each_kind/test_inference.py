"""What a person with scans sees: each bundle segments a folder of whatever they are, and tells how it went."""

from __future__ import annotations

import csv
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
import pytest
import SimpleITK
import torch
from monai.bundle import ConfigWorkflow

from fewlabel.metrics import agreement
from helpers.bundle_runs import Trained, run, undisturbed, words, workflow
from helpers.bundles import BASELINES, FORMS, classes_of, config, has_second_network, has_second_weights

TWO_FILES = [bundle for bundle in FORMS if has_second_weights(bundle)]


def segment(trained: Trained, scans: Path, out: Path, **overrides: Any) -> ConfigWorkflow:
    return run(
        trained.bundle,
        "inference",
        dataset_dir=str(scans),
        output_dir=str(out),
        **{"checkpoint": str(trained.checkpoint), "device": "cpu", **overrides},
    )


@pytest.fixture
def scans(phantom: Path, tmp_path: Path, write_series: Callable[..., Path]) -> Path:
    """The same scan as NIfTI, as NRRD and as a DICOM series in a folder."""
    folder = tmp_path / "scans"
    folder.mkdir()
    source = next((phantom / "imagesTs").iterdir())
    # the series is written with the axes of LPS: the others too, so that all three store the same voxels
    image = SimpleITK.DICOMOrient(SimpleITK.Cast(SimpleITK.ReadImage(str(source)), SimpleITK.sitkInt16), "LPS")
    SimpleITK.WriteImage(image, str(folder / "one.nii.gz"))
    SimpleITK.WriteImage(image, str(folder / "two.nrrd"))
    *across, along = image.GetSpacing()
    heights = [along * k for k in range(image.GetSize()[2])]
    voxels = SimpleITK.GetArrayFromImage(image).T
    write_series(folder / "three" / "cine", voxels, heights=heights, ending="", spacing=tuple(across))
    return folder


def labels(file: Path) -> np.ndarray:
    return np.asarray(nib.load(file).dataobj)


def test_a_scan_gets_the_same_labels_whatever_its_format_and_a_second_run_does_nothing(
    trained: Trained, scans: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    segment(trained, scans, tmp_path / "out")
    written = sorted((tmp_path / "out").glob("*.nii.gz"))
    assert [file.name for file in written] == ["one.nii.gz", "three_cine.nii.gz", "two.nii.gz"]
    assert all(np.array_equal(labels(file), labels(written[0])) for file in written)
    assert np.allclose(nib.load(written[0]).affine, nib.load(scans / "one.nii.gz").affine)
    segment(trained, scans, tmp_path / "out")
    out = capsys.readouterr().out
    assert "done       3" in out
    assert "skipped    3  finished before" in out


def test_the_evaluator_that_hosts_run_gives_the_same_labels(trained: Trained, scans: Path, tmp_path: Path) -> None:
    file = scans / "one.nii.gz"
    segment(trained, file, tmp_path / "out")
    made = segment(trained, file, tmp_path / "unused", run=["$@network.load_state_dict(torch.load(@checkpoint))"])
    evaluator = made.parser.get_parsed_content("evaluator")
    evaluator.run()
    [result] = evaluator.state.output
    assert np.array_equal(labels(tmp_path / "out" / "one.nii.gz"), result["pred"][0].numpy())


def test_uncertainty_needs_a_second_student_and_bundles_that_have_one_tell_it(
    trained: Trained, scans: Path, tmp_path: Path
) -> None:
    file, out = scans / "one.nii.gz", tmp_path / "out"
    if not has_second_network(trained.bundle):
        with pytest.raises(RuntimeError) as error:
            segment(trained, file, out, uncertainty="true")
        assert "this bundle trains one; leave --uncertainty out" in str(error.value.__cause__)
        return
    made = segment(trained, file, out, uncertainty="true")
    second_network, network = (made.parser.get_parsed_content(name) for name in ("second_network", "network"))
    volume = made.parser.get_parsed_content("dataset")[0]["image"][None]
    with torch.no_grad():
        one, two = (made.parser.get_parsed_content("inferer")(volume, net.eval()) for net in (network, second_network))
    assert not torch.equal(one, two)
    doubt = nib.load(out / "one_disagreement.nii.gz").get_fdata()
    expected = 0.5 * (one.softmax(1) - two.softmax(1)).abs().sum(1)[0]
    np.testing.assert_allclose(doubt, expected.numpy(), atol=1e-6)
    [row] = csv.DictReader((out / "quality.csv").open())
    quality = agreement(one.argmax(1), two.argmax(1), classes_of(trained.bundle))
    assert row == {"name": "one", "predicted_quality": "" if np.isnan(quality) else f"{quality:.4f}"}


@pytest.mark.parametrize("trained", TWO_FILES, indirect=True)
def test_uncertainty_without_the_second_students_weights_says_so(trained: Trained, scans: Path, tmp_path: Path) -> None:
    checkpoint = shutil.copy(trained.checkpoint, tmp_path / "model.pt")
    shutil.copy(trained.checkpoint.with_suffix(".json"), tmp_path)
    made = workflow(
        trained.bundle, "inference", dataset_dir=str(scans), checkpoint=str(checkpoint), uncertainty=True,
        output_dir=str(tmp_path / "out"),
    )  # fmt: skip
    made.initialize()
    with undisturbed(), pytest.raises(RuntimeError) as error:
        made.run()
    causes = [error.value]
    while causes[-1].__cause__ is not None:
        causes.append(causes[-1].__cause__)
    assert "model_second.pt: no weights of the second student" in str(causes[-1])


@pytest.mark.parametrize("trained", [BASELINES["slices"]], indirect=True)
def test_a_broken_scan_makes_the_command_fail_after_the_others_are_done(
    trained: Trained, scans: Path, tmp_path: Path
) -> None:
    (scans / "broken.nii.gz").write_bytes((scans / "one.nii.gz").read_bytes()[:300])
    options = {"dataset_dir": scans, "checkpoint": trained.checkpoint, "output_dir": tmp_path / "out", "device": "cpu"}
    command = [sys.executable, "-m", "monai.bundle", "run", "--config_file", str(config(trained.bundle, "inference"))]
    done = subprocess.run([*command, *words(options)], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert "Traceback" not in done.stderr
    assert f"  broken: {scans / 'broken.nii.gz'} is truncated or corrupt: copy it again" in done.stdout
    assert len(list((tmp_path / "out").glob("*.nii.gz"))) == 3
