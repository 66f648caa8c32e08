"""Key images: which slices, what is burned into them, and what they say of themselves."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pydicom
import pytest

from qfae_monai.outline import OUTLINE
from qfae_monai.predict.key_images import STRIP, highest, key_picture, patient_orientation
from tests.predict.dicom.conftest import MR, pixels
from tests.reading import dicom_factory as factory

TEST_CASES = [
    [[0.1, 0.5, 0.3, 0.4], 3, [1, 3, 2]],
    [[0.1, float("nan"), 0.3, float("nan")], 3, [2, 0]],
    [[0.2, 0.2, 0.2], 2, [0, 1]],
    [[float("nan")] * 2, 3, []],
    [[0.1, 0.2], 0, []],
]
DIRECTIONS = [
    [factory.AXIAL, ["L", "P"]],
    [factory.SAGITTAL, ["P", "F"]],
    [(-1.0, 0.0, 0.0, 0.0, 1.0, 0.0), ["R", "P"]],
    [factory.oblique(), ["L", "PH"]],  # 20 degrees: its columns run towards the head too
]


@pytest.mark.parametrize(("scores", "count", "expected"), TEST_CASES)
def test_highest(scores: list[float], count: int, expected: list[int]) -> None:
    assert highest(np.array(scores), count) == expected


@pytest.mark.parametrize(("orientation", "expected"), DIRECTIONS)
def test_patient_orientation(orientation: Any, expected: list[str]) -> None:
    assert patient_orientation(np.array(orientation).reshape(2, 3)) == expected


def picture(**changes: Any) -> tuple[np.ndarray, float]:
    grey = np.zeros((20, 10))
    given: dict[str, Any] = {"heat": grey, "mask": None, "spacing": (1.0, 2.0), "caption": "score 1", **changes}
    return key_picture(given.pop("grey", grey), given.pop("heat"), given.pop("mask"), **given)


def test_pixels_are_square_and_the_text_covers_no_anatomy() -> None:
    shown, pixel = picture(grey=np.full((20, 10), 0.5))
    assert pixel == pytest.approx(20.0 / 768)  # both sides are 20 mm long
    assert shown.shape == (768 + 2 * STRIP, 768, 3)
    assert (shown[STRIP:-STRIP] == 128).all()
    for strip in (shown[:STRIP], shown[-STRIP:]):
        assert (strip == 255).any()
        assert (strip[:, :5] == 0).all()


def test_a_narrow_slice_leaves_room_for_the_text() -> None:
    shown, _ = picture(spacing=(1.0, 0.5))
    assert shown.shape[1] == 512
    assert (shown[:STRIP, 20:-20] == 255).any()
    assert (shown[:STRIP, :8] == 0).all()


def test_colour_is_where_the_map_is_high_and_the_outline_around_the_mask() -> None:
    heat, mask = np.zeros((20, 20)), np.zeros((20, 20), dtype=bool)
    heat[:5], mask[10:15, 10:15] = 1.0, True
    shown, _ = picture(grey=np.full((20, 20), 0.5), heat=heat, mask=mask, spacing=(1, 1))
    slice_only = shown[STRIP:-STRIP]
    assert np.ptp(slice_only[20, 400]) > 50  # coloured
    assert (slice_only[700, 100] == 128).all()  # grey
    edge = np.argwhere((slice_only == OUTLINE).all(axis=2))
    assert edge.min() == pytest.approx(10 / 20 * 768, abs=1)
    assert edge.max() == pytest.approx(15 / 20 * 768, abs=1)


def test_each_names_its_slice_and_score(tmp_path: Path, write: Any) -> None:
    pytest.importorskip("highdicom", reason="the extra dicom is not installed")
    paths = factory.series(tmp_path / "in", pixels(), BurnedInAnnotation="NO", **MR)
    _, anomaly_map, _, folder = write(tmp_path / "in", key_image_count=2)
    order = np.argsort(-anomaly_map.mean(axis=(0, 1)))
    assert not (folder / "key_image_3.dcm").exists()
    for rank in (1, 2):
        dataset = pydicom.dcmread(folder / f"key_image_{rank}.dcm")
        place = int(order[rank - 1])
        (reference,) = dataset.SourceImageSequence
        assert reference.ReferencedSOPInstanceUID == pydicom.dcmread(paths[place]).SOPInstanceUID
        assert f"slice {place + 1} by QFAE for MONAI" in dataset.DerivationDescription
        assert dataset.InstanceNumber == rank
        assert (dataset.PhotometricInterpretation, dataset.BurnedInAnnotation) == ("RGB", "NO")
        assert dataset.ImageComments == "Research use, not for diagnosis."
        assert list(dataset.PatientOrientation) == ["L", "P"]
        shape = np.array(dataset.pixel_array.shape[:2]) - (2 * STRIP, 0)
        lengths = np.array([16 * 0.7, 12 * 0.9])  # mm, of the factory's rows and columns
        assert shape * float(dataset.PixelSpacing[0]) == pytest.approx(lengths, abs=0.02)


def test_a_source_that_says_nothing_of_burned_in_text_leaves_it_open(tmp_path: Path, write: Any) -> None:
    pytest.importorskip("highdicom", reason="the extra dicom is not installed")
    factory.series(tmp_path / "in", pixels(), **MR)
    *_, folder = write(tmp_path / "in", key_image_count=1)
    assert "BurnedInAnnotation" not in pydicom.dcmread(folder / "key_image_1.dcm")
