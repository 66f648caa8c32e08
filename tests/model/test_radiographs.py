"""Radiographs in DICOM are images of a training: of folders, data lists and prepared folders."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from typer.testing import CliRunner

from qfae_monai.cli import app
from qfae_monai.data import LoadPicture, image_folder_datalist, input_datalist
from qfae_monai.data.pictures import picture_of
from qfae_monai.model.scans import look
from qfae_monai.model.training import train
from qfae_monai.reading.series import read_series
from qfae_monai.recipes.discovery import tree_sources
from qfae_monai.transforms import ScaleBitDepth
from tests.model.made_up import picture
from tests.reading import dicom_factory as factory

DX = "1.2.840.10008.5.1.4.1.1.1.1"


def chest(seed: int, side: int = 48) -> np.ndarray:
    """(rows, columns), 12 bits: two dark lungs in a bright body."""
    rows, columns = np.mgrid[0:side, 0:side] / side
    body = 3000 * np.exp(-(((columns - 0.5) / 0.45) ** 4) - ((rows - 0.55) / 0.5) ** 4)
    for centre in (0.3, 0.7):
        body -= 1500 * np.exp(-(((columns - centre) / 0.12) ** 2) - ((rows - 0.5) / 0.25) ** 2)
    noise = np.random.default_rng(seed).normal(0, 40, (side, side))
    return (body + noise + 200).clip(0, 4095).astype(np.uint16)


def radiograph(path: Path, pixels: np.ndarray, patient: str = "p", **elements: Any) -> Path:
    known = {"SOPClassUID": DX, "Modality": "DX", "PatientID": patient, "BitsStored": 12, "HighBit": 11, **elements}
    path.parent.mkdir(parents=True, exist_ok=True)
    return factory.write(path, factory.image(pixels, **known))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Six files of four patients, one of them MONOCHROME1, without suffix, two in folders of their own."""
    for number in range(6):
        elements = {"PhotometricInterpretation": "MONOCHROME1"} if number == 5 else {}
        pixels = 4095 - chest(number) if number == 5 else chest(number)
        place = tmp_path / "dx" / (f"{number}/1.2.840.{number}" if number < 2 else f"1.2.840.{number}")
        radiograph(place, pixels, f"p{number % 4}", **elements)
    return tmp_path / "dx"


def test_a_folder_of_radiographs_is_one_of_images(folder: Path) -> None:
    found = look(folder)
    assert found.kind == "image"
    assert len(found.scans) == 6
    assert {scan.patient for scan in found.scans} == {"p0", "p1", "p2", "p3"}
    assert "PatientID in DICOM headers" in found.patients_told_by
    assert len(input_datalist(folder, images=True)) == 6
    with pytest.raises(FileNotFoundError, match="expected a folder with volumes or DICOM series, found none"):
        input_datalist(folder)


def test_a_data_list_names_files_or_folders(folder: Path, tmp_path: Path) -> None:
    names = ["dx/0", "dx/1", "dx/1.2.840.2", "dx/1.2.840.3"]
    entries = [{"image": name, "image_label": 0} for name in names]
    (tmp_path / "list.json").write_text(json.dumps({"training": entries[:2], "validation": entries[2:]}))
    found = look(tmp_path / "list.json")
    assert [scan.kind for scan in found.scans] == ["image"] * 4
    assert {scan.patient for scan in found.scans} == {"p0", "p1", "p2", "p3"}


def test_a_prepared_folder_may_hold_them(tmp_path: Path) -> None:
    for number, place in enumerate(("train/good", "train/good", "valid/good", "test/good", "test/Ungood/img")):
        radiograph(tmp_path / place / f"1.2.{number}", chest(number), f"p{number}")
    (tmp_path / "test/Ungood/label").mkdir()
    Image.fromarray(np.eye(48, dtype=np.uint8) * 255).save(tmp_path / "test/Ungood/label/1.2.4.png")
    assert [entry["case"] for entry in image_folder_datalist(tmp_path, "test")] == ["1.2.4", "1.2.3"]
    found = look(tmp_path)
    assert found.layout == "prepared folder"
    assert {scan.patient for scan in found.scans} == {f"p{number}" for number in range(5)}
    assert [scan.label for scan in found.scans if scan.mask] == ["abnormal"]


@pytest.mark.parametrize(
    "elements",
    [
        {},
        {"RescaleSlope": 0.5, "RescaleIntercept": -100.0},
        {"RescaleSlope": 2, "RescaleIntercept": 7},
        {"BitsStored": 14, "HighBit": 13},
        {"BitsStored": 16, "HighBit": 15},
    ],
)
def test_pixels_are_those_stored_at_their_depth(tmp_path: Path, elements: dict[str, Any]) -> None:
    bits = elements.get("BitsStored", 12)
    image = LoadPicture()(radiograph(tmp_path / "a.dcm", chest(1), **elements))
    assert np.array_equal(image[0].numpy(), chest(1))
    assert float(ScaleBitDepth()(image).max()) == pytest.approx(chest(1).max() / (2**bits - 1))


def test_what_is_stored_dark_is_shown_dense(tmp_path: Path) -> None:
    for name, elements in (("a", {"PhotometricInterpretation": "MONOCHROME1"}), ("b", {"RescaleSlope": -1.0})):
        file = radiograph(tmp_path / name, 4095 - chest(1), **elements)
        assert np.array_equal(picture_of(read_series(file), "x")[0].numpy(), chest(1))


def test_a_radiograph_beside_volumes_is_left_aside(tmp_path: Path) -> None:
    factory.series(tmp_path / "ct")
    radiograph(tmp_path / "ct" / "scout.dcm", chest(1))
    found = look(tmp_path)
    assert [scan.kind for scan in found.scans] == ["volume"]
    assert [one.kind for one in found.left_aside] == ["an image among volumes"]
    assert len(input_datalist(tmp_path)) == len(tree_sources(tmp_path, normal=True)) == 1


@pytest.mark.parametrize("modality", ["US", "XA", "DX"])
def test_a_film_is_no_radiograph(tmp_path: Path, modality: str) -> None:
    frames = np.stack([chest(number) for number in range(3)])
    radiograph(tmp_path / "film.dcm", frames, Modality=modality, NumberOfFrames=3)
    result = CliRunner().invoke(app, ["check", str(tmp_path / "film.dcm")])
    assert result.exit_code == 1
    assert "3 images without a position" in " ".join(result.output.split()) or "no-position" in result.output


def test_constant_radiographs_are_refused_by_check_and_training(tmp_path: Path) -> None:
    flat = radiograph(tmp_path / "flat.dcm", np.full((8, 8), 7, np.uint16))
    sentence = "flat.dcm: expected an image, got 7 in every pixel"
    assert sentence in " ".join(CliRunner().invoke(app, ["check", str(flat)]).output.split())
    radiograph(tmp_path / "other.dcm", chest(1), "q")
    assert sentence in look(tmp_path).left_aside[0].reason


def test_files_of_images_are_read_by_what_they_hold(tmp_path: Path) -> None:
    radiograph(tmp_path / "a.png", chest(1))
    assert LoadPicture()(tmp_path / "a.png").shape == (1, 48, 48)
    assert LoadPicture()(picture(tmp_path / "b.png", 1)).shape == (1, 8, 7)
    factory.series(tmp_path / "ct")
    with pytest.raises(ValueError, match="expected a single image, as the model was trained on, got a volume"):
        LoadPicture()(tmp_path / "ct")


def test_a_model_of_radiographs(tmp_path: Path) -> None:
    """Trained on a folder, evaluated and calibrated on others, and used on a file of each kind."""
    for number in range(24):
        radiograph(tmp_path / "normal" / f"{number}.dcm", chest(number), f"n{number}")
        radiograph(tmp_path / "more" / f"{number}.dcm", chest(100 + number), f"m{number}")
    for number in range(2):
        pixels = chest(200 + number)
        pixels[20:26, 10:18] = 3500
        radiograph(tmp_path / "ill" / f"{number}.dcm", pixels, f"i{number}")
    model = train(tmp_path / "normal", tmp_path / "model", images=100, abnormal=tmp_path / "ill")
    assert json.loads((model / "fingerprint.json").read_text())["modalities"] == {"DX": 12}
    more, ill, run, out = (tmp_path / name for name in ("more", "ill", "run", "out"))
    for command in (
        ["calibrate", more],
        ["evaluate", more, "--abnormal", ill, "-o", run],
        ["predict", "-i", ill, "-o", out],
    ):
        result = CliRunner().invoke(app, [*map(str, command), "-m", str(model)])
        assert result.exit_code == 0, result.output
    assert "2 done, 0 kept, 0 failed" in result.output
