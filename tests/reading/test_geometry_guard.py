"""The geometry guard: each risk is refused by its name, and written down where it is allowed."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from qfae_monai.reading import read_series
from tests.reading import dicom_factory as factory


def duplicate(folder: Path) -> None:
    factory.series(folder, shuffle=False, gaps=[2.5, 0, 2.5, 2.5])


def varying(folder: Path) -> None:
    factory.series(folder, shuffle=False, gaps=[2.5, 2.5, 3.5, 2.5])


def turned(folder: Path) -> None:
    a = np.radians(1)
    other = [1.0, 0.0, 0.0, 0.0, float(np.cos(a)), float(np.sin(a))]
    axes = [list(factory.AXIAL)] * 4 + [other]
    factory.series(folder, shuffle=False, ImageOrientationPatient=axes)


def localiser(folder: Path) -> None:
    factory.series(folder, shuffle=False)
    factory.series(folder / "scout", factory.volume()[:1], orientation=factory.SAGITTAL)


def without_position(folder: Path) -> None:
    factory.series(folder, shuffle=False)
    factory.write(folder / "screen.dcm", factory.image(factory.volume()[0]))


def sizes(folder: Path) -> None:
    factory.series(folder, shuffle=False)
    factory.series(folder / "b", factory.volume((1, 6, 3)), origin=(10, 20, 42.5))


def spacings(folder: Path) -> None:
    factory.series(folder, shuffle=False, PixelSpacing=[[0.7, 0.9]] * 4 + [[0.8, 0.9]])


def shifted(folder: Path) -> None:
    places = [[10.0, 20.0, 30.0], [10.0, 20.0, 32.5], [10.0, 24.0, 35.0], [10.0, 20.0, 37.5], [10.0, 20.0, 40.0]]
    factory.series(folder, shuffle=False, ImagePositionPatient=places)


def no_positions(folder: Path) -> None:
    for index, pixels in enumerate(factory.volume()):
        dataset = factory.image(pixels, InstanceNumber=5 - index, PixelSpacing=[0.7, 0.9], SliceThickness=2.0)
        factory.write(folder / f"{index}.dcm", dataset)


def no_spacing(folder: Path) -> None:
    factory.series(folder, shuffle=False, PixelSpacing=None)


REFUSED: list[list[Any]] = [
    [
        factory.missing,
        "missing-slice",
        r"1 slice missing: gap of 5\.00 mm between 001\.dcm and 003\.dcm, expected 2\.50 mm",
    ],
    [duplicate, "duplicate-position", r"001\.dcm, 002\.dcm all at 32\.50 mm"],
    [varying, "varying-spacing", r"from 2\.50 mm \(000\.dcm to 001\.dcm\) to 3\.50 mm \(002\.dcm to 003\.dcm\)"],
    [turned, "varying-orientation", r"004\.dcm turned by up to 1\.00 degrees against 000\.dcm"],
    [localiser, "localiser", r"000\.dcm turned by up to 90\.0 degrees against 000\.dcm"],
    [without_position, "localiser", r"screen\.dcm without a position among 5 slices"],
    [sizes, "mixed-size", r"4 x 3 and 6 x 3 \(rows x columns\) in one series: 000\.dcm differ"],
    [spacings, "mixed-size", r"0\.7 x 0\.9 mm and 0\.8 x 0\.9 mm in one series: 004\.dcm differ"],
    [shifted, "shifted-slices", r"002\.dcm lies 4\.00 mm beside the line"],
    [factory.two_series, "mixed-series", r"got 2: number 3, 'first', 5 files.*number 4"],
    [no_positions, "no-position", r"5 images without ImagePositionPatient"],
    [no_spacing, "no-spacing", r"000\.dcm has a position but no PixelSpacing"],
]


@pytest.mark.parametrize(("spoil", "risk", "message"), REFUSED, ids=[case[0].__name__ for case in REFUSED])
def test_risk_is_refused_by_name_and_written_down_where_allowed(
    tmp_path: Path, spoil: Any, risk: str, message: str
) -> None:
    spoil(tmp_path)
    with pytest.raises(ValueError, match=message) as refusal:
        read_series(tmp_path)
    assert risk in str(refusal.value)
    assert str(tmp_path) in str(refusal.value)
    found = read_series(tmp_path, allow=[risk])
    assert risk in " ".join(found.risks)
    assert found.array.shape[:2] == (3, 4)


def test_missing_slice_is_filled_and_marked(tmp_path: Path) -> None:
    factory.missing(tmp_path)
    found = read_series(tmp_path, allow=["missing-slice"])
    assert found.array.shape == (3, 4, 5)
    assert found.padding is not None
    assert found.padding.all(axis=(0, 1)).tolist() == [False, False, True, False, False]
    assert np.allclose(found.affine, factory.true_affine(factory.AXIAL, (0, 0, 2.5)))
    kept = [0, 1, 3, 4]
    assert np.array_equal(found.array[..., kept], factory.volume().T[..., kept])
    assert (found.array[..., 2] == 0).all()


def test_varying_spacing_gives_the_mean(tmp_path: Path) -> None:
    varying(tmp_path)
    found = read_series(tmp_path, allow=["varying-spacing"])
    assert found.affine[2, 2] == pytest.approx(11 / 4)
    assert "up to 0.50 mm off their place" in found.risks[0]


def test_duplicate_keeps_the_first_by_number(tmp_path: Path) -> None:
    duplicate(tmp_path)
    assert np.array_equal(read_series(tmp_path, allow=["duplicate-position"]).array, factory.volume()[[0, 1, 3, 4]].T)


def test_images_without_position_are_stacked_by_number(tmp_path: Path) -> None:
    no_positions(tmp_path)
    found = read_series(tmp_path, allow=["no-position"])
    assert np.array_equal(found.array, factory.volume()[::-1].T)
    assert np.abs(np.linalg.norm(found.affine[:3, :3], axis=0) - [0.9, 0.7, 2.0]).max() < 1e-9


def test_unknown_risk_is_refused_with_the_known_ones(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"'missing-slice'.*got \['everything'\]"):
        read_series(tmp_path, allow=["everything"])
