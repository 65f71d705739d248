from __future__ import annotations

import hashlib
import shutil
import zipfile
from pathlib import Path

import pytest
import yaml

from fewlabel.bundle import pack_bundle
from helpers.tiny_bundle import add_weights, entries, small_unet


def test_large_files_stay_out_when_their_address_is_known_and_can_be_checked_when_fetched(
    bundle: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    add_weights(bundle, small_unet().state_dict())
    weights = bundle / "models" / "model.pt"
    options = {"large_file_mb": weights.stat().st_size / 1e6 - 1e-6, "url": "https://example.org/tiny/"}
    archive = pack_bundle(bundle, tmp_path / "dist", **options)
    with zipfile.ZipFile(archive) as packed:
        assert "tiny/models/model.pt" not in packed.namelist()
        (listed,) = yaml.safe_load(packed.read("tiny/large_files.yml"))["large_files"]
    digest = hashlib.sha256(weights.read_bytes()).hexdigest()
    place = "https://example.org/tiny/models/model.pt"
    assert listed == {"path": "models/model.pt", "url": place, "hash_val": digest, "hash_type": "sha256"}
    assert f"stays out of the zip; upload it to {place}" in caplog.text
    assert pack_bundle(bundle, tmp_path / "again", **options).read_bytes() == archive.read_bytes()
    # a megabyte is a million bytes, and a file of just the limit is not above it
    at_limit = pack_bundle(bundle, tmp_path / "all", url=options["url"], large_file_mb=weights.stat().st_size / 1e6)
    assert "tiny/models/model.pt" in entries(at_limit)


def test_monai_fetches_and_checks_what_stayed_out(
    bundle: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from monai.bundle import scripts

    add_weights(bundle, small_unet().state_dict())
    shutil.unpack_archive(
        pack_bundle(bundle, tmp_path / "dist", url="https://example.org/tiny", large_file_mb=1e-3), tmp_path / "other"
    )
    asked: list[dict[str, object]] = []
    monkeypatch.setattr(scripts, "download_url", lambda **options: asked.append(options))
    scripts.download_large_files(str(tmp_path / "other" / "tiny"))
    (one,) = asked
    assert str(one["filepath"]).endswith("tiny/models/model.pt")
    assert one["hash_type"] == "sha256"


def test_large_files_without_an_address_are_packed_and_the_zoos_limit_is_told(
    bundle: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    add_weights(bundle, small_unet().state_dict())
    names = entries(pack_bundle(bundle, tmp_path / "dist", large_file_mb=1e-3))
    assert "tiny/models/model.pt" in names
    assert "tiny/large_files.yml" not in names
    assert "model zoo refuses files above 0.001 MB: to submit the bundle" in caplog.text


def test_weights_that_lie_elsewhere_already_stay_listed(bundle: Path, tmp_path: Path) -> None:
    elsewhere = {"path": "models/model.pt", "url": "https://example.org/old.pt"}
    (bundle / "large_files.yml").write_text(yaml.safe_dump({"large_files": [elsewhere]}))
    with zipfile.ZipFile(pack_bundle(bundle, tmp_path / "dist")) as packed:
        assert yaml.safe_load(packed.read("tiny/large_files.yml")) == {"large_files": [elsewhere]}
    add_weights(bundle, small_unet().state_dict())  # fetched, or trained anew
    names = entries(pack_bundle(bundle, tmp_path / "dist"))
    assert "tiny/models/model.pt" in names
    assert "tiny/large_files.yml" not in names


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("large_files: [", r"large_files\.yml: not valid YAML"),
        ("- models/model.pt", r"expected a list `large_files` of entries with path and url"),
        ("large_files: [{path: a}]", r"an entry has \['path'\]; expected path, url"),
    ],
)
def test_a_broken_list_of_large_files_is_refused(bundle: Path, tmp_path: Path, text: str, message: str) -> None:
    (bundle / "large_files.yml").write_text(text)
    with pytest.raises(ValueError, match=message):
        pack_bundle(bundle, tmp_path / "dist")
