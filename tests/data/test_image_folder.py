"""BMAD's folder layout in its variants, and the folders that would be silently wrong."""

from __future__ import annotations

from pathlib import Path

import pytest

from qfae_monai.data import check_folder_patients, image_folder_datalist

# files -> (image, image_label, case, mask) relative to the split's folder
LAYOUTS = [
    [
        "test",
        ["good/b.png", "good/a.png", "Ungood/c.png"],
        [("Ungood/c.png", 1, "c", None), ("good/a.png", 0, "a", None), ("good/b.png", 0, "b", None)],
    ],
    [
        "test",
        ["good/img/a.png", "good/label/a.png", "Ungood/img/c.png", "Ungood/label/c.png"],
        [("Ungood/img/c.png", 1, "c", "Ungood/label/c.png"), ("good/img/a.png", 0, "a", "good/label/a.png")],
    ],
    [
        "test",
        ["img/good/a.tif", "img/Ungood/c.tif", "label/Ungood/c.png"],
        [("img/Ungood/c.tif", 1, "c", "label/Ungood/c.png"), ("img/good/a.tif", 0, "a", None)],
    ],
    [
        "val",
        ["good/img/a.jpg", "ungood/img/c.JPEG", "ungood/anomaly_mask/c.png"],
        [("good/img/a.jpg", 0, "a", None), ("ungood/img/c.JPEG", 1, "c", "ungood/anomaly_mask/c.png")],
    ],
    [
        "VALID",
        ["Good/a.png", "UNGOOD/c.png", "anomaly_mask/Ungood/c.bmp"],
        [("Good/a.png", 0, "a", None), ("UNGOOD/c.png", 1, "c", "anomaly_mask/Ungood/c.bmp")],
    ],
    ["train", ["good/a.png", "good/notes.txt"], [("good/a.png", 0, "a", None)]],
    [
        "test",
        ["good/1.png", "Ungood/1.png", "Ungood/2.png"],
        [("Ungood/1.png", 1, "ungood_1", None), ("Ungood/2.png", 1, "2", None), ("good/1.png", 0, "good_1", None)],
    ],
]
CLASSES = [
    ["Ungood/tumour/1.png", "Ungood/tumour/label/1.png", "Ungood/Bleeding/img/1.png", "Ungood/2.png", "good/1.png"],
    ["Ungood/img/tumour/1.png", "Ungood/label/tumour/1.png", "img/Ungood/Bleeding/1.png", "Ungood/2.png", "good/1.png"],
]
REFUSED = [
    ["train", [], FileNotFoundError, "expected a folder 'train', got nothing"],
    ["train", ["train/good/notes.txt"], FileNotFoundError, "expected images in good or Ungood, got good"],
    ["train", ["train/good/a.png", "train/Ungood/c.png"], ValueError, "normal images alone, got 1 Ungood"],
    ["test", ["test/good/a.png", "test/good/img/b.png"], ValueError, "expected one folder of good images"],
    ["valid", ["val/good/a.png", "valid/good/a.png"], ValueError, "expected one folder 'valid'"],
    ["test", ["test/good/a.png", "test/good/a.jpg"], ValueError, "expected one file a name, got several of a"],
    [
        "test",
        ["test/Ungood/img/c.png", "test/Ungood/img/d.png", "test/Ungood/label/d.png", "test/Ungood/label/e.png"],
        ValueError,
        r"1 masks without an image \(e.png\) and 1 images without a mask \(c.png\)",
    ],
    ["testing", ["test/good/a.png"], ValueError, "expected a split of .* got 'testing'"],
]


def touch(root: Path, files: list[str]) -> None:
    for name in files:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).touch()


@pytest.mark.parametrize("files", CLASSES)
def test_folders_below_ungood_are_classes(tmp_path: Path, files: list[str]) -> None:
    touch(tmp_path / "test", files)
    entries = image_folder_datalist(tmp_path, "test")
    found = {(entry["case"], entry.get("class"), entry["image_label"], "label" in entry) for entry in entries}
    assert found == {
        ("tumour_1", "tumour", 1, True),
        ("Bleeding_1", "Bleeding", 1, False),
        ("2", None, 1, False),
        ("good_1", None, 0, False),
    }


@pytest.mark.parametrize(("folder", "files", "expected"), LAYOUTS)
def test_layout_is_read(tmp_path: Path, folder: str, files: list[str], expected: list[tuple]) -> None:
    split = tmp_path / folder
    touch(split, files)
    entries = image_folder_datalist(tmp_path, folder.lower())
    assert entries == [
        {
            "image": str(split / image),
            "image_label": image_label,
            "case": case,
            **({} if mask is None else {"label": str(split / mask)}),
        }
        for image, image_label, case, mask in expected
    ]


def test_valid_and_val_are_one_split(tmp_path: Path) -> None:
    touch(tmp_path, ["val/good/a.png"])
    assert image_folder_datalist(tmp_path, "valid") == image_folder_datalist(tmp_path, "val")


@pytest.mark.parametrize(("split", "files", "error", "message"), REFUSED)
def test_wrong_folder_is_refused(
    tmp_path: Path, split: str, files: list[str], error: type[Exception], message: str
) -> None:
    touch(tmp_path, files)
    with pytest.raises(error, match=message):
        image_folder_datalist(tmp_path, split)


def test_missing_root_is_named(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="gone"):
        image_folder_datalist(tmp_path / "gone", "train")


def test_masks_can_be_required(tmp_path: Path) -> None:
    touch(
        tmp_path, ["test/good/img/a.png", "test/Ungood/img/c.png", "test/Ungood/img/d.png", "test/Ungood/label/d.png"]
    )
    labels = [entry.get("label") for entry in image_folder_datalist(tmp_path, "test")]
    assert labels == [None, str(tmp_path / "test/Ungood/label/d.png"), None]
    with pytest.raises(FileNotFoundError, match=r"each of 2 ungood images, got none for 1: c.png"):
        image_folder_datalist(tmp_path, "test", require_masks=True)


def test_patients_are_told_from_file_names_and_kept_apart(tmp_path: Path) -> None:
    for name in ("train/good/P1_60.png", "valid/good/P2_60.png", "test/good/P3_60.png", "test/Ungood/P3_70.png"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    found = image_folder_datalist(tmp_path, "test", patient_pattern=r"^(P\d+)_")
    assert [entry["patient"] for entry in found] == ["P3", "P3"]
    check_folder_patients(tmp_path, r"^(P\d+)_")
    (tmp_path / "test/good/P1_80.png").touch()
    check_folder_patients(tmp_path, None)
    with pytest.raises(ValueError, match="P1 in train and test"):
        check_folder_patients(tmp_path, r"^(P\d+)_")
    with pytest.raises(ValueError, match="finds a group"):
        image_folder_datalist(tmp_path, "test", patient_pattern="Q")


def test_twins_of_archivers_are_no_images(tmp_path: Path) -> None:
    folder = tmp_path / ".hidden" / "Train" / "GOOD" / "IMG"
    folder.mkdir(parents=True)
    for name in ("0.PNG", "._0.PNG"):
        (folder / name).write_bytes(b"")
    assert [entry["case"] for entry in image_folder_datalist(tmp_path / ".hidden", "train")] == ["0"]
