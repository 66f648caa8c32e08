"""Several volumes in one series: told in words, chosen by what tells them apart; interrupted ones left out."""

from __future__ import annotations

import json
from collections.abc import Hashable
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
import pytest

from qfae_monai.data import volume_datalist
from qfae_monai.reading import LoadSeriesd, contents_of, find_series, read_series
from qfae_monai.reading.volume_choice import check_volume
from tests.reading import dicom_factory as factory


def several(folder: Path, values: list[dict[str, Any]], *, last: int = 5) -> np.ndarray:
    """One volume for each set of elements, instance numbers following; of the last volume so many slices."""
    pixels = factory.volume()
    for number, elements in enumerate(values):
        count = last if number == len(values) - 1 else 5
        numbers = [5 * number + place + 1 for place in range(5)]
        factory.series(
            folder / str(number),
            pixels + 1000 * number,
            shuffle=False,
            skip=range(count, 5),
            **{"InstanceNumber": numbers, **elements},
        )
    return pixels.T


MP = [{"ImageType": f"ORIGINAL\\PRIMARY\\{kind}"} for kind in "MP"]
CASES: list[Any] = [
    [[{"EchoNumbers": n, "EchoTime": 10 * n} for n in (1, 2)], "echo=2", 1, "volume 2 of 2: echo 2 of 2, TE 20 ms"],
    [[{"DiffusionBValue": b} for b in (0.0, 1000.0)], "b=1000", 1, "volume 2 of 2: b = 1000"],
    [[{"TriggerTime": t} for t in (0, 300)], "trigger=300", 1, "volume 2 of 2: trigger 300 ms"],
    [MP, "type=phase", 1, "volume 2 of 2: phase"],
    [[{"TemporalPositionIdentifier": n} for n in (1, 2, 3)], 3, 2, "volume 3 of 3: time point 3"],
    [[{}, {}, {}], "2", 1, "volume 2 of 3"],
    [
        [{**kind, "EchoTime": te, "EchoNumbers": n} for n, te in ((1, 4.5), (2, 9)) for kind in MP],
        "4",
        3,
        "volume 4 of 4: echo 2 of 2, TE 9 ms, phase",
    ],
]


@pytest.mark.parametrize(("values", "volume", "place", "words"), CASES)
def test_volumes_are_told_in_words_and_chosen_by_them(
    tmp_path: Path, values: list[dict[str, Any]], volume: Any, place: int, words: str
) -> None:
    pixels = several(tmp_path, values)
    (summary,) = find_series(tmp_path)
    assert words in str(summary.refusal)
    found = read_series(tmp_path, volume=volume)
    assert np.array_equal(found.array, pixels + 1000 * place)
    assert words in found.attributes["notes"]
    assert np.array_equal(read_series(tmp_path, volume="first").array, pixels)
    every = find_series(tmp_path, volume="all")
    assert [one.volume for one in every] == list(range(1, len(values) + 1))


@pytest.mark.parametrize("values", [[{}, {}, {}], [{"EchoNumbers": n} for n in (1, 2, 3)]])
def test_an_interrupted_acquisition_keeps_its_complete_volumes(tmp_path: Path, values: list[dict[str, Any]]) -> None:
    several(tmp_path, values, last=3)
    found = find_series(tmp_path, volume="all")
    assert [one.shape for one in found] == [(3, 4, 5)] * 2
    assert "interrupted: 1 incomplete volumes left out, with 3 of 5 slices" in found[0].attributes["notes"]


@pytest.mark.parametrize("lost", [0, 1])
def test_an_incomplete_volume_is_never_another_ones_stand_in(tmp_path: Path, lost: int) -> None:
    several(tmp_path, [{"EchoNumbers": n, "EchoTime": 10 * n} for n in (1, 2)])
    (tmp_path / str(lost) / "002.dcm").unlink()
    for volume in (lost + 1, f"echo={lost + 1}", f"te={10 * lost + 10}"):
        with pytest.raises(ValueError, match=f"got 4 of 5 slices of volume {lost + 1} of 2: echo {lost + 1} of 2"):
            read_series(tmp_path, volume=volume)
    for choice in (None, "first", 2 - lost, f"echo={2 - lost}"):
        found = read_series(tmp_path, volume=choice)
        assert found.array.max() // 1000 == 1 - lost
        assert f"volume {2 - lost} of 2: echo {2 - lost} of 2, TE {20 - 10 * lost} ms" in found.attributes["notes"]


def test_volumes_keep_their_numbers_where_one_is_incomplete(tmp_path: Path) -> None:
    several(tmp_path, [{"EchoNumbers": n} for n in (1, 2, 3)])
    (tmp_path / "1" / "002.dcm").unlink()
    assert [one.volume for one in find_series(tmp_path, volume="all")] == [1, 3]
    assert read_series(tmp_path, volume=3).array.max() // 1000 == 2


def test_a_slice_missing_within_mixes_no_time_points(tmp_path: Path) -> None:
    several(tmp_path, [{}, {}, {}])
    (tmp_path / "1" / "002.dcm").unlink()
    with pytest.raises(ValueError, match="duplicate-position"):
        read_series(tmp_path, volume=2)


def test_a_choice_applies_to_series_that_have_several(tmp_path: Path) -> None:
    factory.series(tmp_path / "one", SeriesInstanceUID="1.2.3")
    several(tmp_path / "more", [{"EchoNumbers": n} for n in (1, 2)])
    found = contents_of(tmp_path, volume="echo=2").series
    assert [(one.volume, one.refusal) for one in found] == [(2, None), (None, None)]


@pytest.mark.parametrize("volume", ["echo=3", "b=0", 7])
def test_what_is_not_there_is_refused(tmp_path: Path, volume: Any) -> None:
    several(tmp_path, [{"EchoNumbers": n} for n in (1, 2)])
    with pytest.raises(ValueError, match=r"volume 1 of 2: echo 1 of 2"):
        read_series(tmp_path, volume=volume)


@pytest.mark.parametrize("volume", ["", "second", 0, -1, "1.5", "=3", True])
def test_a_choice_that_is_none(volume: Any) -> None:
    with pytest.raises(ValueError, match="expected as volume first, all, a number"):
        check_volume(volume)


def test_an_entry_of_a_data_list_chooses(tmp_path: Path) -> None:
    array = np.arange(48, dtype=np.float32).reshape(2, 3, 4, 2)
    nib.save(nib.Nifti1Image(array, np.eye(4)), tmp_path / "a.nii")
    entries = [{"image": "a.nii", "volume": volume} for volume in (1, "2")]
    (tmp_path / "list.json").write_text(json.dumps({"test": entries}))
    listed = volume_datalist(tmp_path / "list.json", "test")
    assert [entry["case"] for entry in listed] == ["a-volume-1", "a-volume-2"]
    assert np.array_equal(LoadSeriesd("image")(dict[Hashable, Any](listed[1].items()))["image"][0], array[..., 1])
    (tmp_path / "list.json").write_text(json.dumps({"test": [{"image": "a.nii", "volume": "all"}]}))
    with pytest.raises(ValueError, match="list an entry for each"):
        volume_datalist(tmp_path / "list.json", "test")
