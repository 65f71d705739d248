from __future__ import annotations

import csv
import logging
import math
import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
import pytest
import SimpleITK
import torch
from ignite.engine import Events
from monai.data import DataLoader, Dataset, MetaTensor
from monai.inferers import SlidingWindowInferer
from monai.transforms import AsDiscreted, Compose, Invertd, KeepLargestConnectedComponentd, Spacingd
from torch import nn
from torch.utils._python_dispatch import TorchDispatchMode

from fewlabel.engines import MixedPrecisionEvaluator, Segmenter
from fewlabel.engines.case_status import CaseStatus
from fewlabel.engines.label_maps import LabelMapper
from fewlabel.inferers import ResizedSliceInferer
from fewlabel.metrics import agreement, disagreement
from fewlabel.transforms import LoadCased

SHAPE = (9, 7, 5)
OBLIQUE = np.array([[1.5, 0, 0, -20], [0, 0.8 * 1.25, -0.6 * 8, 7], [0, 0.6 * 1.25, 0.8 * 8, 3], [0, 0, 0, 1]])
ARGMAX = AsDiscreted("pred", argmax=True)
LOAD = LoadCased(label_key=None)


@pytest.fixture
def network() -> nn.Module:
    return students()[0]


def students() -> tuple[nn.Module, nn.Module]:
    torch.manual_seed(0)
    made = [nn.Sequential(nn.Conv2d(1, 6, 3, padding=1), nn.Dropout(0.5), nn.Conv2d(6, 4, 1)) for _ in range(2)]
    return made[0], made[1]


@pytest.fixture
def scans(tmp_path: Path) -> list[dict[str, str]]:
    """Three scans of different sizes."""
    folder = tmp_path / "scans"
    folder.mkdir()
    rng = np.random.default_rng(0)
    for name, slices in (("a", 5), ("b", 3), ("c", 1)):
        voxels = rng.normal(size=(*SHAPE[:2], slices)).astype(np.float32)
        nib.save(nib.Nifti1Image(voxels, OBLIQUE), folder / f"{name}.nii.gz")
    return [{"image": str(file), "name": file.name.split(".")[0]} for file in sorted(folder.iterdir())]


Make = Callable[..., Segmenter]


@pytest.fixture
def make(scans: list[dict[str, str]], tmp_path: Path, network: nn.Module) -> Make:
    def made(**changes: Any) -> Segmenter:
        settings = {"data": scans, "preprocessing": LOAD, "postprocessing": Compose([ARGMAX]), "network": network}
        settings |= {"inferer": ResizedSliceInferer((8, 8), batch_size=2), "output_dir": tmp_path / "out", **changes}
        loader = DataLoader(Dataset(settings["data"], settings["preprocessing"]), batch_size=1)
        evaluator = MixedPrecisionEvaluator(
            torch.device("cpu"), loader, settings.pop("network"), inferer=settings.pop("inferer"),
            postprocessing=settings["postprocessing"], amp=settings.pop("amp", "off"),
        )  # fmt: skip
        return Segmenter(evaluator, **settings)

    return made


def by_evaluator(segmentation: Segmenter) -> list[np.ndarray]:
    """What the evaluator itself gives: whole volumes of logits, then all of the postprocessing."""
    found: list[np.ndarray] = []
    evaluator = segmentation.evaluator
    evaluator.add_event_handler(
        Events.ITERATION_COMPLETED, lambda engine: found.extend(item["pred"][0].numpy() for item in engine.state.output)
    )
    evaluator.run()
    return found


def written(segmentation: Segmenter, name: str = "a") -> np.ndarray:
    return np.asarray(nib.load(segmentation.output_dir / f"{name}.nii.gz").dataobj)


def states(outcomes: list[CaseStatus]) -> str:
    return " ".join(outcome.state for outcome in outcomes)


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"inferer": ResizedSliceInferer((8, 8), slice_axis=0, batch_size=3, released_resize=True)},
        {"postprocessing": ARGMAX},
        {"postprocessing": Compose([ARGMAX, KeepLargestConnectedComponentd("pred")])},
        {"inferer": SlidingWindowInferer((8, 8, 3)), "network": nn.Conv3d(1, 4, 3, padding=1)},
        {"amp": "bfloat16"},
        {"amp": "bfloat16", "inferer": SlidingWindowInferer((8, 8, 3)), "network": nn.Conv3d(1, 4, 3, padding=1)},
        {
            "preprocessing": Compose([LOAD, space := Spacingd("image", (2, 2, 8))]),
            "postprocessing": Compose([Invertd("pred", space, "image", nearest_interp=False), ARGMAX]),
        },
    ],
    ids=[
        "slices",
        "other axis",
        "no compose",
        "largest component",
        "3D windows",
        "bfloat16",
        "3D windows in bfloat16",
        "other spacing",
    ],
)
def test_the_labels_are_voxel_for_voxel_the_evaluators(changes: dict[str, Any], make: Make) -> None:
    segmentation = make(**changes)
    expected = by_evaluator(segmentation)
    assert states(segmentation.run()) == "done done done"
    for name, labels in zip("abc", expected, strict=True):
        assert np.array_equal(written(segmentation, name), labels)
    assert len(np.unique(written(segmentation))) > 1, "a constant would prove nothing"


def test_labels_lie_on_the_scans_own_grid(make: Make) -> None:
    segmentation = make()
    segmentation.run()
    image = nib.load(segmentation.output_dir / "a.nii.gz")
    assert image.get_data_dtype() == np.uint8
    assert image.header.get_xyzt_units()[0] == "mm"
    affine, code = image.get_sform(coded=True)
    assert (code, int(image.header["qform_code"])) == (2, 0), "as the scan has them"
    assert np.allclose(affine, OBLIQUE, atol=1e-5)


def test_a_header_that_contradicts_itself_is_written_as_viewers_read_it(make: Make, tmp_path: Path) -> None:
    image = nib.Nifti1Image(np.random.default_rng(0).normal(size=SHAPE).astype(np.float32), OBLIQUE)
    image.set_qform(np.diag([3.0, 3.0, 3.0, 1.0]), code=1)  # also the voxel sizes, which the sform does not have
    nib.save(image, tmp_path / "contradiction.nii")
    segmentation = make(data=[{"image": str(tmp_path / "contradiction.nii"), "name": "a"}])
    segmentation.run()
    seen = nib.load(tmp_path / "contradiction.nii").affine
    assert np.allclose(nib.load(segmentation.output_dir / "a.nii.gz").affine, seen)


@pytest.mark.parametrize("ending", [".nrrd", ".mha", "DICOM"])
def test_other_formats_keep_their_grid(
    ending: str, make: Make, tmp_path: Path, write_series: Callable[..., Path]
) -> None:
    voxels = np.random.default_rng(0).integers(0, 99, SHAPE).astype(np.int16)
    image = SimpleITK.GetImageFromArray(voxels.T)
    image.SetSpacing((1.5, 1.25, 8.0))
    image.SetOrigin((-20.0, 7.0, 3.0))
    file = tmp_path / f"scan{ending}"
    write_series(file, voxels) if ending == "DICOM" else SimpleITK.WriteImage(image, str(file))
    segmentation = make(data=[{"image": str(file), "name": "a"}])
    segmentation.run()
    labels = SimpleITK.ReadImage(str(segmentation.output_dir / "a.nii.gz"))
    assert labels.GetSize() == SHAPE
    for found, expected in (
        (labels.GetSpacing(), image.GetSpacing()),
        (labels.GetOrigin(), image.GetOrigin()),
        (labels.GetDirection(), image.GetDirection()),
    ):
        assert np.allclose(found, expected)
    assert np.array_equal(SimpleITK.GetArrayFromImage(labels).T, by_evaluator(segmentation)[0])


def test_a_second_run_does_only_what_is_left(make: Make, scans: list[dict[str, str]]) -> None:
    make(data=scans[:2]).run()
    before = {file: file.stat().st_mtime_ns for file in make().output_dir.glob("*.nii.gz")}
    assert states(make().run()) == "skipped skipped done"
    assert all(file.stat().st_mtime_ns == time for file, time in before.items())
    assert states(make(inferer=ResizedSliceInferer((8, 8), batch_size=1)).run()) == "skipped skipped skipped"
    next(iter(before)).unlink()
    assert states(make().run()).count("done") == 1


def touched(scans: list[dict[str, str]]) -> dict[str, Any]:
    os.utime(scans[0]["image"], ns=(1, 1))
    return {}


def retrained(scans: list[dict[str, str]]) -> dict[str, Any]:
    network = students()[0]
    network[2].bias.data[0] += 1e-4
    return {"network": network}


@pytest.mark.parametrize(
    ("change", "reason", "expected"),
    [
        (touched, "a: the scan changed since the last run; segmenting it again", "done skipped skipped"),
        (retrained, "b: the weights changed since", "done done done"),
        (lambda scans: {"inferer": ResizedSliceInferer((8, 12))}, "c: the settings changed since", "done done done"),
        (
            lambda scans: {"postprocessing": Compose([ARGMAX, KeepLargestConnectedComponentd("pred")])},
            "a: the settings changed since",
            "done done done",
        ),
    ],
)
def test_a_stale_result_is_made_again_and_the_reason_told(
    change: Callable[..., dict[str, Any]], reason: str, expected: str, make: Make, scans: list[dict[str, str]],
    caplog: pytest.LogCaptureFixture,
) -> None:  # fmt: skip
    make().run()
    changes = change(scans)
    with caplog.at_level(logging.INFO):
        assert states(make(**changes).run()) == expected
    assert reason in caplog.text
    assert states(make(**changes).run()) == "skipped skipped skipped"


def test_a_correction_by_hand_is_never_overwritten(
    make: Make, scans: list[dict[str, str]], capsys: pytest.CaptureFixture[str]
) -> None:
    segmentation = make()
    segmentation.run()
    file = segmentation.output_dir / "a.nii.gz"
    nib.save(nib.Nifti1Image(np.full(SHAPE, 3, np.uint8), OBLIQUE), file)
    assert states(make().run()) == "skipped skipped skipped"
    with pytest.raises(SystemExit) as end:
        make(**retrained(scans)).run()
    assert end.value.code == 1
    assert "a.nii.gz: made with another weights, and changed by hand since; move it away" in capsys.readouterr().out
    assert (written(segmentation) == 3).all()
    file.rename(file.with_name("mine.nii.gz"))
    assert states(make(**retrained(scans)).run()) == "done skipped skipped"


def test_a_damaged_note_vouches_for_nothing(make: Make, caplog: pytest.LogCaptureFixture) -> None:
    segmentation = make()
    segmentation.run()
    (segmentation.output_dir / ".finished" / "a.json").write_text('{"marks": 1}')
    assert states(make().run()) == "done skipped skipped"
    assert "a.json: damaged; segmenting the case again" in caplog.text


def test_a_broken_case_is_reported_and_the_others_are_done(
    make: Make, scans: list[dict[str, str]], capsys: pytest.CaptureFixture[str]
) -> None:
    broken = Path(scans[1]["image"])
    broken.write_bytes(broken.read_bytes()[:200])
    cine = broken.with_name("cine.nii.gz")
    nib.save(nib.Nifti1Image(np.zeros((4, 4, 3, 2), np.float32), np.eye(4)), cine)
    segmentation = make(data=[{"image": str(broken.with_name("gone.mha"))}, {"image": str(cine)}, *scans])
    with pytest.raises(SystemExit) as end:
        segmentation.run()
    assert end.value.code == 1
    out = capsys.readouterr().out
    assert "done       2" in out
    assert "failed     3" in out
    assert f"b: {broken} is truncated or corrupt: copy it again" in out
    assert f"cine: {cine}: expected a volume of one channel" in out
    assert "gone.mha" in out
    assert {file.name for file in segmentation.output_dir.glob("*.nii.gz")} == {"a.nii.gz", "c.nii.gz"}


def test_a_case_too_large_for_the_device_fails_alone_and_the_cure_is_named(
    make: Make, capsys: pytest.CaptureFixture[str], network: nn.Module
) -> None:
    class Small(nn.Module):
        def forward(self, slices: torch.Tensor) -> torch.Tensor:
            if len(slices) > 1:
                raise torch.cuda.OutOfMemoryError("CUDA out of memory. Tried to allocate 20 GiB")
            return network(slices)

    with pytest.raises(SystemExit):
        make(network=Small()).run()
    out = capsys.readouterr().out
    assert "a: " in out
    assert "not enough memory: segment fewer slices at a time with --inferer#batch_size 1, or on the CPU" in out
    assert "done       1" in out  # the case of one slice


def test_ctrl_c_leaves_what_is_finished_and_the_next_run_goes_on(
    make: Make, capsys: pytest.CaptureFixture[str]
) -> None:
    def load(item: Mapping[str, Any]) -> Any:
        if item["name"] == "b":
            raise KeyboardInterrupt
        return LOAD(item)

    segmentation = make(preprocessing=load)
    with pytest.raises(SystemExit) as end:
        segmentation.run()
    assert end.value.code == 130
    assert "left       2  the run was stopped; the same command goes on from here" in capsys.readouterr().out
    assert [file.name for file in segmentation.output_dir.iterdir() if file.is_file()] == ["a.nii.gz"]


@pytest.mark.parametrize("inferer", [ResizedSliceInferer((8, 8), batch_size=2), None], ids=["slices", "whole"])
def test_uncertainty_writes_where_and_how_far_the_two_students_disagree(
    make: Make, scans: list[dict[str, str]], inferer: Any
) -> None:
    slices = ResizedSliceInferer((8, 8))
    whole = inferer or (lambda volume, network: slices(volume, network))  # an inferer of which nothing is known
    first, second = students()
    segmentation = make(inferer=whole, network=first, second_network=second, uncertainty=True)
    expected_labels = by_evaluator(segmentation)
    segmentation.run()
    rows = list(csv.reader((segmentation.output_dir / "quality.csv").open()))
    assert rows[0] == ["name", "predicted_quality"]
    for item, labels, row in zip(scans, expected_labels, rows[1:], strict=True):
        volume = LOAD(item)["image"][None].as_tensor()
        with torch.no_grad():
            one, two = (slices(volume, student.eval()) for student in (first, second))
        doubt = nib.load(segmentation.output_dir / f"{item['name']}_disagreement.nii.gz")
        assert doubt.get_data_dtype() == np.float32
        assert np.allclose(doubt.affine, OBLIQUE)
        np.testing.assert_allclose(doubt.get_fdata(), disagreement(one, two)[0, 0].numpy(), atol=1e-6)
        assert np.array_equal(written(segmentation, item["name"]), labels)
        assert row == [item["name"], f"{agreement(one.argmax(1), two.argmax(1), 4):.4f}"]


def test_the_table_of_quality_has_the_cases_of_earlier_runs_too(make: Make, scans: list[dict[str, str]]) -> None:
    first, second = students()
    make(network=first, second_network=second, uncertainty=True, data=scans[1:]).run()
    segmentation = make(network=first, second_network=second, uncertainty=True)
    assert states(segmentation.run()) == "done skipped skipped"
    assert [row[0] for row in csv.reader((segmentation.output_dir / "quality.csv").open())] == ["name", *"abc"]


def test_a_scan_in_which_neither_student_finds_anything_has_no_quality(make: Make, scans: list[dict[str, str]]) -> None:
    empty = nn.Conv2d(1, 4, 1)
    nn.init.zeros_(empty.weight)
    empty.bias.data = torch.tensor([1.0, 0, 0, 0])
    segmentation = make(network=empty, second_network=empty, uncertainty=True, data=scans[:1])
    segmentation.run()
    assert (segmentation.output_dir / "quality.csv").read_text() == "name,predicted_quality\na,\n"
    assert math.isnan(agreement(torch.zeros(3), torch.zeros(3), 4))


def test_uncertainty_asked_for_later_is_not_taken_for_done(make: Make) -> None:
    first, second = students()
    make(network=first, second_network=second).run()
    assert not (make().output_dir / "a_disagreement.nii.gz").exists()
    assert states(make(network=first, second_network=second, uncertainty=True).run()) == "done done done"


class LargestTensor(TorchDispatchMode):
    """Note the bytes of the largest tensor that is made, views of older ones left aside."""

    def __init__(self, known: torch.Tensor) -> None:
        super().__init__()
        self.known, self.bytes = known.untyped_storage().data_ptr(), 0

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        out = func(*args, **(kwargs or {}))
        for tensor in out if isinstance(out, tuple | list) else (out,):
            if isinstance(tensor, torch.Tensor) and tensor.untyped_storage().data_ptr() != self.known:
                self.bytes = max(self.bytes, tensor.untyped_storage().nbytes())
        return out


@pytest.mark.parametrize("uncertain", [False, True])
def test_no_tensor_grows_with_the_slices_but_the_labels_and_the_map(make: Make, uncertain: bool) -> None:
    first, second = students()
    inferer = ResizedSliceInferer((8, 8), batch_size=8)
    evaluator = make(network=first, inferer=inferer).evaluator
    volume = MetaTensor(torch.randn(1, 32, 32, 600))
    mapper = LabelMapper(evaluator, ARGMAX, second if uncertain else None)
    with LargestTensor(volume) as largest:
        mapper({"image": volume})
    voxel = 4 if uncertain else 1  # bytes: a map of float32, or labels alone; logits would have 16
    assert largest.bytes <= voxel * volume.numel()


def test_more_classes_than_a_byte_holds_get_two(make: Make, scans: list[dict[str, str]]) -> None:
    network = nn.Conv2d(1, 300, 1)
    segmentation = make(network=network, data=scans[:1])
    expected = by_evaluator(segmentation)[0]
    segmentation.run()
    assert nib.load(segmentation.output_dir / "a.nii.gz").get_data_dtype() == np.uint16
    assert np.array_equal(written(segmentation), expected)


def test_a_grid_that_was_changed_and_not_restored_is_an_error_with_the_cure(
    make: Make, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit):
        make(preprocessing=Compose([LOAD, Spacingd("image", (3, 3, 8))])).run()
    assert "undo it with Invertd in postprocessing" in capsys.readouterr().out


def test_postprocessing_without_an_argmax_is_an_error_with_the_cure(
    make: Make, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit):
        make(postprocessing=AsDiscreted("pred", threshold=0.5)).run()
    assert "expected postprocessing to give a label map (1, X, Y, Z), got (4, 9, 7, 5); add" in capsys.readouterr().out


def test_what_cannot_work_is_refused_before_anything_is_done(make: Make, scans: list[dict[str, str]]) -> None:
    with pytest.raises(ValueError, match=r"uncertainty is how far two networks disagree, and this bundle trains one"):
        make(uncertainty=True)
    folder = Path(scans[0]["image"]).parent
    with pytest.raises(ValueError, match=rf"a\.nii\.gz is in the folder of the results, {folder}; choose another"):
        make(output_dir=folder)
