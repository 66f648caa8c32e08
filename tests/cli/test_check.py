"""`qfae check`, as a user types it: one row per series, the reason of a refusal, the exit code, and no identifiers."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
import pytest

from qfae_monai import cli
from tests.reading import dicom_factory as factory


def check(monkeypatch: pytest.MonkeyPatch, *arguments: object) -> int:
    """Run the command in this process; its exit code."""
    monkeypatch.setattr(sys, "argv", ["qfae", "check", *map(str, arguments)])
    with pytest.raises(SystemExit) as stop:
        cli.main()
    return int(stop.value.code or 0)


def test_accepted_folder(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    factory.series(tmp_path / "a", SeriesNumber=3, SeriesDescription="head", BurnedInAnnotation="YES")
    factory.series(tmp_path / "b", orientation=factory.SAGITTAL, SeriesInstanceUID="1.2.3", SeriesNumber=4)
    nib.save(
        nib.Nifti1Image(np.arange(24, dtype=np.float32).reshape(2, 3, 4), np.diag([1, 2, 3, 1])), tmp_path / "c.nii.gz"
    )
    assert check(monkeypatch, tmp_path) == 0
    output = capsys.readouterr().out
    title, _, *rows, _, end = output.splitlines()
    assert title == "ACCEPTED"
    for word in ("3 head in a", "CT", "3 x 4 x 5", "0.9 x 0.7 x 2.5", "axial", "signed 16", "MONOCHROME2"):
        assert word in rows[0]
    assert rows[1] == "    - burned-in annotation"
    assert "sagittal" in rows[2]
    for word in ("c.nii.gz", "NIfTI", "2 x 3 x 4", "1 x 2 x 3", "32"):
        assert word in rows[3]
    assert end == "3 accepted, 0 refused"
    for identifier in ("Doe", "Jane", "4711", factory.SERIES):
        assert identifier not in output


def test_refused_series_fails_and_says_why(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    factory.series(tmp_path, SeriesNumber=3, shuffle=False, skip=[2])
    assert check(monkeypatch, tmp_path) == 1
    output = capsys.readouterr().out
    assert "1 slice missing: gap of 5.00 mm between 001.dcm and 003.dcm" in output
    assert output.endswith("0 accepted, 1 refused\n")
    assert check(monkeypatch, tmp_path, "--allow", "missing-slice") == 0
    assert "missing-slice: 1 slice missing" in capsys.readouterr().out


def test_pixels_are_decoded_unless_told_otherwise(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    dataset = factory.image(factory.volume()[0], Modality="DX")  # one image is a study of its own
    dataset.PixelData = b"\xfe\xff\x00\xe0\0\0\0\0\xfe\xff\x00\xe0\4\0\0\0\xff\xd8\xff\xd9\xfe\xff\xdd\xe0\0\0\0\0"
    dataset["PixelData"].is_undefined_length = True
    factory.write(tmp_path / "a.dcm", dataset, "1.2.840.10008.1.2.4.70")
    assert check(monkeypatch, tmp_path / "a.dcm", "--headers-only") == 0
    assert check(monkeypatch, tmp_path / "a.dcm") == 1
    assert "damaged JPEG Lossless" in capsys.readouterr().out


def test_folder_without_images(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    (tmp_path / "readme.txt").write_text("nothing here")
    assert check(monkeypatch, tmp_path) == 1
    assert "expected DICOM, NIfTI, NRRD or MetaImage images, got none" in capsys.readouterr().err


def test_a_folder_of_nothing_but_pictures_of_screens_says_how_to_take_them_in(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    factory.series(tmp_path, SOPClassUID="1.2.840.10008.5.1.4.1.1.7")
    assert check(monkeypatch, tmp_path) == 1
    printed = capsys.readouterr()
    assert "--include secondary-capture takes it in" in printed.out
    assert "images, got none" in printed.err


def test_a_voxel_far_outside_is_noted(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    pixels = np.arange(6 * 6 * 6, dtype=np.float32).reshape(6, 6, 6)
    pixels[3, 3, 3] = 10_000 * pixels.max()
    nib.save(nib.Nifti1Image(pixels, np.eye(4)), tmp_path / "a.nii.gz")
    assert check(monkeypatch, tmp_path) == 0
    assert "outlying-voxels: 1 of 216 voxels" in capsys.readouterr().out


def test_what_is_left_aside_is_counted_and_changes_no_exit_code(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    factory.series(tmp_path / "a", SeriesNumber=3)
    scout: dict[str, Any] = {
        "ImageType": "ORIGINAL\\PRIMARY\\LOCALIZER",
        "SeriesInstanceUID": "1.2.3",
        "SeriesNumber": 4,
    }
    factory.series(tmp_path / "b", **scout)
    (tmp_path / "readme.txt").write_text("nothing here")
    assert check(monkeypatch, tmp_path) == 0
    output = capsys.readouterr().out
    assert "  5 files, localiser: localiser or scout" in output
    assert "  1 file, no image: its content is none of the formats that are read\n    readme.txt\n" in output
    assert output.endswith("1 accepted, 0 refused, 6 files left aside\n")
    assert check(monkeypatch, tmp_path, "--include", "localiser") == 0
    assert "2 accepted, 0 refused, 1 file left aside" in capsys.readouterr().out


def test_volumes_are_listed_and_chosen(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    for echo in (1, 2):
        factory.series(tmp_path / str(echo), EchoNumbers=echo, EchoTime=10 * echo)
    assert check(monkeypatch, tmp_path) == 1
    assert "volume 1 of 2: echo 1 of 2, TE 10 ms; volume 2 of 2" in capsys.readouterr().out
    assert check(monkeypatch, tmp_path, "--volume", "all") == 0
    assert "2 accepted, 0 refused" in capsys.readouterr().out


@pytest.mark.parametrize(("value", "message"), [(7.0, "got 7 in every voxel"), (np.nan, "NaN or infinite")])
def test_what_training_refuses_is_refused(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path, value: float, message: str
) -> None:
    nib.save(nib.Nifti1Image(np.full((3, 4, 5), value, np.float32), np.eye(4)), tmp_path / "a.nii.gz")
    assert check(monkeypatch, tmp_path) == 1
    assert message in capsys.readouterr().out
