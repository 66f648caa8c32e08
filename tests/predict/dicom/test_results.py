"""What is written and what is refused: all objects of a result, or none and a reason."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
import pydicom
import pytest

from qfae_monai.predict import dicom_results as results
from qfae_monai.predict.dicom_results import write_dicom_results
from qfae_monai.predict.model_identity import ModelIdentity
from qfae_monai.reading import read_series
from tests.predict.dicom.conftest import CT, MODEL, MR, assert_valid, pixels, result_of
from tests.reading import dicom_factory as factory


@pytest.mark.slow
def test_import_needs_neither_torch_nor_highdicom() -> None:
    code = "import sys, qfae_monai.predict.dicom_results; print(*sys.modules)"
    loaded = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True).stdout.split()
    assert "qfae_monai.predict.dicom_results" in loaded
    assert not {"torch", "monai", "highdicom", "matplotlib"} & set(loaded)


def test_without_highdicom_the_extra_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, write: Any) -> None:
    monkeypatch.setitem(sys.modules, "highdicom", None)
    factory.series(tmp_path / "in", pixels(), **MR)
    with pytest.raises(ValueError, match="pip install highdicom"):
        write(tmp_path / "in")


@pytest.mark.parametrize("digest", ["abc", "Z" * 64, ""])
def test_a_model_has_a_checksum(digest: str) -> None:
    with pytest.raises(ValueError, match="expected checkpoint_sha256 of 64 hexadecimal digits"):
        ModelIdentity(digest)


class TestWithHighdicom:
    @pytest.fixture(autouse=True)
    def _highdicom(self) -> None:
        pytest.importorskip("highdicom", reason="the extra dicom is not installed")

    def test_without_a_mask_there_is_no_segmentation(self, tmp_path: Path) -> None:
        factory.series(tmp_path / "in", pixels(), **MR)
        series = read_series(tmp_path / "in")
        anomaly_map, _, _ = result_of(series)
        paths = write_dicom_results(series, tmp_path / "in", anomaly_map, None, None, tmp_path / "out", model=MODEL)
        names = ["parametric_map.dcm", "key_image_1.dcm", "key_image_2.dcm", "key_image_3.dcm"]
        assert [path.name for path in paths] == names
        assert sorted((tmp_path / "out").iterdir()) == sorted(paths)
        highest = int(anomaly_map.max(axis=(0, 1)).argmax())  # no scores: the largest map value stands in
        assert f"slice {highest + 1} by" in pydicom.dcmread(paths[1]).DerivationDescription

    def test_nothing_found_is_a_result_too(self, tmp_path: Path) -> None:
        factory.series(tmp_path / "in", pixels(), **MR)
        series = read_series(tmp_path / "in")
        nothing = np.zeros(series.array.shape, dtype=np.float32)
        scores = np.full(series.array.shape[2], np.nan)
        write_dicom_results(series, tmp_path / "in", nothing, nothing > 0, scores, tmp_path / "out", model=MODEL)
        found = pydicom.dcmread(tmp_path / "out" / "segmentation.dcm")
        assert (int(found.NumberOfFrames), int(found.pixel_array.sum())) == (5, 0)
        assert sorted(path.name for path in (tmp_path / "out").iterdir()) == ["parametric_map.dcm", "segmentation.dcm"]
        assert_valid(tmp_path / "out")

    def test_a_failure_leaves_nothing(self, tmp_path: Path, write: Any, monkeypatch: pytest.MonkeyPatch) -> None:
        factory.series(tmp_path / "in", pixels(), **MR)

        def broken(*_: Any, **__: Any) -> None:
            raise ValueError("broken")

        monkeypatch.setattr(results, "key_images", broken)
        with pytest.raises(ValueError, match="broken"):
            write(tmp_path / "in")
        assert not (tmp_path / "out").exists()

    @pytest.mark.parametrize(
        ("changes", "message"),
        [
            ({"anomaly_map": np.zeros((3, 3, 3))}, r"expected anomaly_map of the series' shape \(12, 16, 5\)"),
            ({"anomaly_map": np.full((12, 16, 5), np.nan)}, "expected finite numbers in anomaly_map, got 960 others"),
            ({"mask": np.zeros((12, 16, 4))}, "expected mask of the series' shape"),
            ({"slice_scores": [1.0]}, r"expected slice_scores of 5 slices, got shape \(1,\)"),
            ({"region": "elbow"}, "expected a region of .*'head'.*, got 'elbow'"),
            ({"key": b"k" * 32}, "expected anonymous with a key"),
            ({"anonymous": True, "key": b"short"}, "expected a key of at least 32 bytes, got 5"),
            ({"key_image_count": -1}, "expected key_image_count of 0 or more, got -1"),
        ],
    )
    def test_what_does_not_fit_is_refused(self, tmp_path: Path, changes: dict[str, Any], message: str) -> None:
        factory.series(tmp_path / "in", pixels(), **MR)
        series = read_series(tmp_path / "in")
        anomaly_map, mask, scores = result_of(series)
        given = {"anomaly_map": anomaly_map, "mask": mask, "slice_scores": scores, **changes}
        with pytest.raises(ValueError, match=message):
            write_dicom_results(series, tmp_path / "in", output_dir=tmp_path / "out", model=MODEL, **given)
        assert not (tmp_path / "out").exists()

    @pytest.mark.parametrize(
        ("elements", "allow", "message"),
        [
            ({"skip": [2]}, ["missing-slice"], "a plane that was filled has no source instance"),
            ({"SeriesInstanceUID": [f"1.2.{k}" for k in range(5)]}, ["mixed-series"], "a result refers to one series"),
            ({"FrameOfReferenceUID": ""}, [], "expected a FrameOfReferenceUID"),
            ({"StudyInstanceUID": "1.2.not-a-uid"}, [], "expected a StudyInstanceUID of at most 64 digits and dots"),
            ({"StudyInstanceUID": f"1.{'2' * 70}"}, [], "expected a StudyInstanceUID of at most 64 digits and dots"),
            ({"FrameOfReferenceUID": [f"1.2.{k}" for k in range(5)]}, [], "expected one FrameOfReferenceUID .* got 5"),
            ({"SOPInstanceUID": "1.2.3"}, [], "expected a SOPInstanceUID for each of 5 files, got 1"),
            ({"BurnedInAnnotation": "YES"}, [], "expected pixels without burned-in annotation"),
            ({"ImagePositionPatient": None}, ["no-position"], "the planes have no place in the patient"),
            ({"PixelSpacing": None}, ["no-spacing"], "the planes have no pixel spacing"),
        ],
    )
    def test_a_series_that_cannot_carry_a_result_is_refused(
        self, tmp_path: Path, write: Any, elements: dict[str, Any], allow: list[str], message: str
    ) -> None:
        factory.series(tmp_path / "in", pixels(), **{**CT, **elements})
        with pytest.raises(ValueError, match=message):
            write(tmp_path / "in", allow=allow)
        assert not (tmp_path / "out").exists()

    def test_a_single_image_without_a_place_is_refused(self, tmp_path: Path, write: Any) -> None:
        places: dict[str, Any] = {"ImagePositionPatient": None, "ImageOrientationPatient": None}
        (path,) = factory.series(tmp_path / "in", pixels((1, 16, 12)), **{**MR, **places})
        with pytest.raises(ValueError, match="the planes have no place in the patient"):
            write(path)

    def test_nifti_is_refused(self, tmp_path: Path, write: Any) -> None:
        nib.save(nib.Nifti1Image(np.zeros((4, 4, 4), dtype=np.float32), np.eye(4)), tmp_path / "in.nii.gz")
        with pytest.raises(ValueError, match="expected a DICOM series to write DICOM objects for, got NIfTI"):
            write(tmp_path / "in.nii.gz")

    def test_another_source_is_refused(self, tmp_path: Path) -> None:
        factory.series(tmp_path / "in", pixels(), **MR)
        factory.series(tmp_path / "other", pixels(), **MR)
        series = read_series(tmp_path / "in")
        anomaly_map, mask, scores = result_of(series)
        with pytest.raises(
            ValueError, match=r"expected the source that the series was read from, got .*0 of its 5 files"
        ):
            write_dicom_results(series, tmp_path / "other", anomaly_map, mask, scores, tmp_path / "out", model=MODEL)

    def test_one_series_of_a_folder_with_several(self, tmp_path: Path) -> None:
        factory.two_series(tmp_path / "in")
        for path in (tmp_path / "in").rglob("*.dcm"):
            dataset = pydicom.dcmread(path)
            dataset.FrameOfReferenceUID = "1.2.3.9"
            dataset.save_as(path)
        series = read_series(tmp_path / "in", series=4)
        anomaly_map, mask, scores = result_of(series)
        write_dicom_results(series, tmp_path / "in", anomaly_map, mask, scores, tmp_path / "out", model=MODEL)
        found = pydicom.dcmread(tmp_path / "out" / "segmentation.dcm")
        assert found.ReferencedSeriesSequence[0].SeriesInstanceUID == "1.2.3.4"
        assert np.array_equal(found.pixel_array, mask.T)
