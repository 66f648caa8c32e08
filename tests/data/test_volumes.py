"""Decathlon-style data lists: identifiers, missing files, and patients in two sections."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest

from qfae_monai.data import check_patient_disjoint, input_datalist, volume_datalist

# content of the list -> cases of its section "training"
CASES = [
    [{"training": ["a.nii.gz", "b.nii"]}, ["a", "b"]],
    [{"training": [{"image": "p1/flair.nii.gz"}, {"image": "p2/flair.nii.gz"}]}, ["p1", "p2"]],
    [{"training": ["p1/flair.nii.gz"], "test": ["p2/flair.nii.gz"]}, ["p1"]],
    [{"training": ["p1/flair.nii.gz", "p2/flair.nii.gz", "p1/t1.nii.gz"]}, ["p1_flair", "p2_flair", "p1_t1"]],
    # names that leave the list's folder and come back
    [{"training": [{"image": "p1/../p2/flair.nii.gz"}]}, ["flair"]],
    # MONAI would turn this case into a path, as a folder of its name is there
    [{"training": [{"image": "p1/flair.nii.gz", "case": "p1", "patient": "p2"}]}, ["p1"]],
]
REFUSED: list[list[Any]] = [
    [
        {"test": ["a.nii.gz"], "name": "x", "numTraining": 1},
        ValueError,
        r"section 'training', got the sections \['test'\]",
    ],
    [{"training": []}, ValueError, "expected volumes in section 'training', got none"],
    [{"training": [{"label": "a.nii.gz"}]}, ValueError, "expected an image in each entry"],
    [{"training": ["a.nii.gz", "a.nii.gz"]}, ValueError, r"listed again: .*a.nii.gz"],
    [{"training": ["a.nii.gz", "gone.nii.gz"]}, FileNotFoundError, r"1 of 2 missing: .*gone.nii.gz"],
    [{"training": [{"image": "a.nii.gz", "label": "gone.nii.gz"}]}, FileNotFoundError, r"gone.nii.gz"],
    [
        {"training": [{"image": "a.nii.gz", "image_label": "$open('x')"}]},
        ValueError,
        "entry 1: image_label: expected a whole",
    ],
    [
        {"training": [{"image": "a.nii.gz", "image_label": 2}]},
        ValueError,
        "image_label: expected a whole number from 0 to 1",
    ],
    [
        {"training": [{"image": "a.nii.gz", "patient": ["x"]}]},
        ValueError,
        "entry 1: patient: expected a name or a whole",
    ],
    [["a.nii.gz"], ValueError, "expected a data list in JSON, got a list"],
]
OVERLAPS = [
    [{"training": ["a.nii.gz"], "test": ["b.nii"]}, None],
    [{"training": ["a.nii.gz"], "test": ["a.nii.gz"]}, "a in 'training' and 'test'"],
    [
        {
            "training": [{"image": "a.nii.gz", "patient": "P7"}],
            "test": [{"image": "b.nii", "patient": "P7"}],
        },
        "P7 in 'training' and 'test'",
    ],
    [
        {"training": [{"image": "a.nii.gz", "case": "x"}], "test": [{"image": "a.nii.gz", "case": "y"}]},
        r"a.nii.gz in 'training' and 'test'",
    ],
]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name in ("a.nii.gz", "b.nii", "seg.nii.gz", "p1/flair.nii.gz", "p1/t1.nii.gz", "p2/flair.nii.gz"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    return tmp_path


def written(folder: Path, content: Any) -> Path:
    path = folder / "datalist.json"
    path.write_text(json.dumps(content))
    return path


@pytest.mark.parametrize(("content", "expected"), CASES)
def test_cases(folder: Path, content: dict, expected: list[str]) -> None:
    entries = volume_datalist(written(folder, content), "training")
    assert [entry["case"] for entry in entries] == expected
    assert all(Path(entry["image"]).is_absolute() for entry in entries)


def test_entry_keeps_what_it_says(folder: Path) -> None:
    entry = {"image": "a.nii.gz", "label": "seg.nii.gz", "image_label": 1, "patient": "p1"}
    path = written(folder, {"validation": [entry]})
    assert volume_datalist(path, "validation") == [
        {
            "image": str(folder / "a.nii.gz"),
            "label": str(folder / "seg.nii.gz"),
            "image_label": 1,
            "patient": "p1",
            "case": "a",
        }
    ]


@pytest.mark.parametrize(("content", "error", "message"), REFUSED)
def test_wrong_list_is_refused(folder: Path, content: Any, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=rf"datalist.json.*{message}"):
        volume_datalist(written(folder, content), "training")


def test_no_list_is_named(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"datalist.json"):
        volume_datalist(tmp_path / "datalist.json", "training")
    (tmp_path / "datalist.json").write_text("{")
    with pytest.raises(ValueError, match=r"datalist.json"):
        volume_datalist(tmp_path / "datalist.json", "training")


@pytest.mark.parametrize(("content", "message"), OVERLAPS)
def test_patient_in_two_sections_is_refused(folder: Path, content: dict, message: str | None) -> None:
    path = written(folder, content)
    if message is None:
        check_patient_disjoint(path, ("training", "test"))
    else:
        with pytest.raises(ValueError, match=message):
            check_patient_disjoint(path, ("training", "test"))


CLIMBING = ["../a.nii.gz", "p1/../../a.nii.gz", "..", "..\\a.nii.gz", "C:\\a.nii.gz", "C:a.nii.gz", "\\a.nii.gz"]
NO_NAMES = ["../../x", "/tmp/x", "..", "", "a/b", "a\\b", "C:x", "nul.txt", "a\nb", "x" * 300, 1.5, None, ["a"], True]


@pytest.mark.parametrize("key", ["image", "label", "mask"])
@pytest.mark.parametrize("name", CLIMBING)
def test_a_relative_path_stays_in_the_folder_of_its_list(folder: Path, key: str, name: str) -> None:
    (folder / "lists").mkdir()
    (folder / "lists" / "b.nii").touch()
    path = written(
        folder / "lists", {"test": ["b.nii"], "training": [{"image": "b.nii"}, {"image": "b.nii", key: name}]}
    )
    with pytest.raises(ValueError, match=rf"datalist.json: section 'training', entry 2, {key}: expected a path below"):
        volume_datalist(path, "training")


@pytest.mark.parametrize("value", [5, {"a": 1}, [None], "a\0b", " "])
def test_what_is_no_path_is_refused(folder: Path, value: Any) -> None:
    with pytest.raises(ValueError, match=r"datalist.json: section 'training', entry 1, image: expected the path"):
        volume_datalist(written(folder, {"training": [{"image": value}]}), "training")


def test_an_absolute_path_is_the_users_own(folder: Path) -> None:
    (folder / "lists").mkdir()
    path = written(folder / "lists", {"training": [str(folder / "a.nii.gz")]})
    assert volume_datalist(path, "training")[0]["image"] == str(folder / "a.nii.gz")


@pytest.mark.parametrize("case", NO_NAMES)
def test_a_case_that_leads_out_of_a_folder_is_refused(folder: Path, case: Any) -> None:
    path = written(folder, {"training": ["b.nii"], "test": [{"image": "a.nii.gz", "case": case}]})
    with pytest.raises(ValueError, match=r"datalist.json: section 'test', entry 1, case: expected a name without"):
        volume_datalist(path, "test")


def test_a_file_whose_name_can_name_no_results_is_refused(folder: Path) -> None:
    (folder / "p2" / "a\nb.nii").touch()
    with pytest.raises(ValueError, match="case: expected a name without"):
        input_datalist(folder)
    with pytest.raises(ValueError, match=r"entry 1, case: expected a name without"):
        volume_datalist(written(folder, {"training": ["p2/a\nb.nii"]}), "training")


def test_a_folder_or_pipe_is_no_volume_whatever_it_is_called(folder: Path) -> None:
    (folder / "folder.nii.gz").mkdir()
    os.mkfifo(folder / "pipe.nii")
    assert not {"folder", "pipe"} & {entry["case"] for entry in input_datalist(folder)}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('{"training": ' + 100_000 * "[" + 100_000 * "]" + "}", "at most 32 levels"),
        ('{"training": [{"image": "a.nii.gz", "image_label": NaN}]}', "NaN where a finite number belongs"),
        ('{"training": [{"image": "a.nii.gz", "image": "b.nii"}]}', "the key 'image' twice"),
    ],
)
def test_a_list_is_strict_json(folder: Path, text: str, message: str) -> None:
    (folder / "list.json").write_text(text)
    with pytest.raises(ValueError, match=f"list.json: expected a data list in JSON.*{message}"):
        volume_datalist(folder / "list.json", "training")
