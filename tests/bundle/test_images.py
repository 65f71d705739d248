from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from fewlabel.bundle import find_images
from fewlabel.engines.fingerprint import of_files
from fewlabel.transforms import LoadCased

WriteSeries = Callable[..., Path]
VOXELS = np.zeros((4, 4, 2), np.int16)


def fill(folder: Path, *names: str) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for name in names:
        (folder / name).write_bytes(b"")


def test_the_scans_of_any_folder_are_found_in_order(tmp_path: Path) -> None:
    fill(tmp_path, "b.nii.gz", "a.NII", "c.mha", "notes.txt", "._b.nii.gz", ".nii.gz")
    fill(tmp_path / "deeper.nii.gz", "d.nii.gz")
    assert find_images(tmp_path) == [
        {"image": str(tmp_path / file), "name": name}
        for file, name in (("a.NII", "a"), ("b.nii.gz", "b"), ("c.mha", "c"))
    ]


def test_of_a_dataset_the_scans_for_the_test_are_taken(tmp_path: Path) -> None:
    fill(tmp_path / "imagesTr", "train.nii.gz")
    fill(tmp_path / "imagesTs", "test.nii.gz")
    assert find_images(str(tmp_path)) == [{"image": str(tmp_path / "imagesTs" / "test.nii.gz"), "name": "test"}]


def test_a_single_file_is_a_folder_of_one(write_series: WriteSeries, tmp_path: Path) -> None:
    fill(tmp_path, "one.nrrd", "two.nrrd")
    assert find_images(tmp_path / "one.nrrd") == [{"image": str(tmp_path / "one.nrrd"), "name": "one"}]
    slices = sorted(write_series(tmp_path / "series", VOXELS, ending="").iterdir())
    assert find_images(slices[0]) == [{"image": str(slices[0]), "name": slices[0].stem}]


def test_a_series_is_named_after_its_folder_however_deep(write_series: WriteSeries, tmp_path: Path) -> None:
    root = tmp_path / "export"
    write_series(root / "anna" / "cine", VOXELS, ending="")
    write_series(root / "bert", VOXELS)
    write_series(root / ".hidden", VOXELS)
    fill(root, "carl.nii.gz", "DICOMDIR")
    fill(root / "papers", "report.pdf")
    assert find_images(root) == [
        {"image": str(root / "anna" / "cine"), "name": "anna_cine"},
        {"image": str(root / "bert"), "name": "bert"},
        {"image": str(root / "carl.nii.gz"), "name": "carl"},
    ]


def test_a_folder_of_slices_is_one_scan_and_has_the_folders_name(write_series: WriteSeries, tmp_path: Path) -> None:
    folder = write_series(tmp_path / "anna", VOXELS)
    assert find_images(folder) == [{"image": str(folder), "name": "anna"}]


def test_several_series_in_a_folder_are_told_apart_and_what_is_no_scan_is_left_out(
    write_series: WriteSeries, tmp_path: Path
) -> None:
    folder = write_series(tmp_path / "anna", VOXELS, uid="1.2.1", number=3)
    write_series(folder, VOXELS, uid="1.2.2", number=12, ending="")
    write_series(folder, VOXELS, uid="1.2.9", number=99, modality="SEG")
    found = find_images(folder)
    assert [item["name"] for item in found] == ["anna_12", "anna_3"]
    for item, uid in zip(found, ("1.2.2", "1.2.1"), strict=True):
        assert [Path(file).name.split("_")[0] for file in item["image"]] == [uid] * 2


def test_series_of_one_number_are_told_apart_all_the_same(write_series: WriteSeries, tmp_path: Path) -> None:
    folder = write_series(tmp_path / "anna", VOXELS, uid="1.2.1", number=3)
    write_series(folder, VOXELS, uid="1.2.2", number=3)
    assert [item["name"] for item in find_images(folder)] == ["anna_3_1.2.1", "anna_3_1.2.2"]


def test_links_are_followed_but_not_in_circles(write_series: WriteSeries, tmp_path: Path) -> None:
    write_series(tmp_path / "archive" / "anna", VOXELS)
    (tmp_path / "scans").mkdir()
    (tmp_path / "scans" / "anna").symlink_to(tmp_path / "archive" / "anna")
    (tmp_path / "scans" / "circle").symlink_to(tmp_path / "scans")
    assert [item["name"] for item in find_images(tmp_path / "scans")] == ["anna"]


@pytest.mark.parametrize("names", [("a.nrrd", "a.mha"), ("a.nii", "A.nii.gz")])
def test_two_scans_of_one_name_are_an_error_that_names_both(names: tuple[str, str], tmp_path: Path) -> None:
    fill(tmp_path, *names)
    with pytest.raises(ValueError, match=r"would both be segmented as [aA]\.nii\.gz; rename one") as error:
        find_images(tmp_path)
    assert all(str(tmp_path / name) in str(error.value) for name in names)


def test_a_folder_without_scans_is_an_error_that_names_it(tmp_path: Path) -> None:
    fill(tmp_path, "notes.txt")
    with pytest.raises(ValueError, match=rf"{tmp_path}: no scan in it; looked for files that end in \.nii\.gz"):
        find_images(tmp_path)
    with pytest.raises(FileNotFoundError, match=r"missing: no such file or folder; name a scan, .* with --dataset"):
        find_images(tmp_path / "missing")
    with pytest.raises(ValueError, match=r"notes\.txt: no scan; expected a file that ends in .*name a scan"):
        find_images(tmp_path / "notes.txt")
    with pytest.raises(ValueError, match=r"expected a folder of scans, or a scan, got ''; name one with --dataset_dir"):
        find_images("")


def test_the_channels_of_a_case_are_one_scan(tmp_path: Path) -> None:
    fill(tmp_path, "b_0001.nii.gz", "b_0000.nii.gz", "a.nii.gz")
    both = [str(tmp_path / f"b_000{number}.nii.gz") for number in (0, 1)]
    assert find_images(tmp_path, in_channels=2) == [
        {"image": str(tmp_path / "a.nii.gz"), "name": "a"},  # its channels lie along a fourth axis
        {"image": both, "name": "b"},
    ]
    assert find_images(tmp_path / "b_0000.nii.gz", in_channels=2) == [{"image": both, "name": "b"}]


def test_with_one_channel_four_digits_are_part_of_a_name(tmp_path: Path) -> None:
    fill(tmp_path, "b_0000.nii.gz", "b_0001.nii.gz")
    assert [item["name"] for item in find_images(tmp_path)] == ["b_0000", "b_0001"]


def test_a_case_to_segment_that_lacks_a_channel_is_named(tmp_path: Path) -> None:
    fill(tmp_path, "a_0000.nii.gz", "a_0001.nii.gz", "b_0001.nii.gz")
    with pytest.raises(ValueError, match=r"case 'b' lacks channel 0 \(of 2\): expected .*b_0000\.nii\.gz"):
        find_images(tmp_path, in_channels=2)
    with pytest.raises(ValueError, match=r"case 'a' lacks channel 2 \(of 3\)"):
        find_images(tmp_path / "a_0000.nii.gz", in_channels=3)


def test_a_channel_that_the_network_does_not_know_is_named(tmp_path: Path) -> None:
    fill(tmp_path, "a_0000.nii.gz", "a_0001.nii.gz", "a_0002.nii.gz")
    with pytest.raises(
        ValueError, match=r"a_0002\.nii\.gz is channel 2 of 'a', but there are to be 2 channels: the netw"
    ):
        find_images(tmp_path, in_channels=2)


ANNEX = "../.git/annex/objects/0K/w1/SHA256E-s1048576--0b8f/SHA256E-s1048576--0b8f"


def test_a_link_that_points_nowhere_is_a_scan_that_will_fail(tmp_path: Path) -> None:
    fill(tmp_path, "b.nii.gz")
    (tmp_path / "a.nii.gz").symlink_to(ANNEX)
    (tmp_path / "c").symlink_to("/mnt/unmounted/c")  # of a folder of slices, perhaps
    (tmp_path / "notes.txt").symlink_to(ANNEX)
    found = find_images(tmp_path)
    assert [item["name"] for item in found] == ["a", "b", "c"]
    for item in (found[0], found[2]):
        with pytest.raises(FileNotFoundError, match=rf"{item['image']} is a link to "):
            LoadCased(label_key=None)(item)
        with pytest.raises(FileNotFoundError, match=rf"{item['image']} is a link to "):
            of_files(item["image"])


@pytest.mark.parametrize("ending", [".dcm", ""])
@pytest.mark.parametrize("absent", [1, 2])
def test_a_series_that_lacks_slices_to_links_is_one_scan_that_will_fail(
    write_series: WriteSeries, tmp_path: Path, absent: int, ending: str
) -> None:
    folder = write_series(tmp_path / "scans" / "anna", VOXELS, ending=ending)
    write_series(tmp_path / "scans" / "bert", VOXELS)
    for file in sorted(folder.iterdir())[-absent:]:
        file.unlink()
        file.symlink_to(ANNEX)
    anna, bert = find_images(tmp_path / "scans")
    assert (anna["name"], bert["name"]) == ("anna", "bert")
    with pytest.raises(FileNotFoundError, match=r"fetch it with `datalad get "):
        LoadCased(label_key=None)(anna)
    with pytest.raises(FileNotFoundError, match=r"fetch it with `datalad get "):
        LoadCased(label_key=None)({"image": str(folder)})


@pytest.mark.parametrize("name", ["scans", "a.nii.gz"])
def test_a_folder_or_file_that_is_such_a_link_is_named(name: str, tmp_path: Path) -> None:
    (tmp_path / name).symlink_to(ANNEX)
    with pytest.raises(FileNotFoundError, match=rf"{name} is a link to .*fetch it with `datalad get "):
        find_images(tmp_path / name)


def test_a_pointer_of_git_is_a_scan_that_will_fail(tmp_path: Path) -> None:
    (tmp_path / "a.nii.gz").write_text("/annex/objects/SHA256E-s1048576--0b8f.nii.gz\n")
    (item,) = find_images(tmp_path)
    with pytest.raises(FileNotFoundError, match=r"a\.nii\.gz holds a pointer of git-annex"):
        LoadCased(label_key=None)(item)
