"""Rivals from a folder of images to one page: run folders, who is left out, going on, and what is refused."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from qfae_monai.evaluation.comparison import compare
from qfae_monai.evaluation.rivals_page import csv_rows, format_rivals
from qfae_monai.evaluation.run_folder import RunFolder
from qfae_monai.experiments.rivals.comparison_run import Asked, run_rivals
from qfae_monai.experiments.rivals.setting import of_model
from qfae_monai.model.runs import Data

PATIENTS = 24


def write_images(folder: Path, sections: dict[tuple[str, str], int]) -> Path:
    """Radiograph-like noise in BMAD's layout, one image a patient, a bright square in what is not good."""
    rng = np.random.default_rng(0)
    for (section, kind), count in sections.items():
        for number in range(count):
            pixels = rng.integers(80, 120, (64, 64)).astype(np.uint8)
            if kind == "Ungood":
                pixels[10:30, 20:40] = 250
            path = folder / section / kind / "img" / f"{section}-{kind}-{number}.png"
            path.parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray(pixels).save(path)
    return folder


@pytest.fixture(scope="module")
def images(tmp_path_factory: pytest.TempPathFactory) -> Path:
    sections = {("train", "good"): PATIENTS, ("valid", "good"): 20, ("test", "good"): 8, ("test", "Ungood"): 8}
    return write_images(tmp_path_factory.mktemp("images"), sections)


@pytest.fixture(scope="module")
def found(images: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Output folder of three rivals, one without its weights."""
    output = tmp_path_factory.mktemp("rivals") / "out"
    run_rivals(Data(images), output, Asked(("mean-image", "pca", "padim"), epochs=1))
    return output


@pytest.mark.slow
def test_each_rival_has_a_run_folder_of_the_same_cases(found: Path) -> None:
    one, other = (RunFolder(found / name) for name in ("mean-image", "pca"))
    assert one.patient_of == other.patient_of
    assert one.evaluation["metrics"]["image"]["auroc"]["value"] == 1  # the square is bright
    assert one.run["calibration"]["slices"] == 20  # thresholds come from held-out normals
    assert one.run["calibration"]["slice_threshold"] is not None
    assert (found / "pca" / "report.html").is_file()
    assert compare(found / "mean-image", found / "pca")["counts"]["patients"] == 16


@pytest.mark.slow
def test_who_has_no_weights_is_left_out_and_named(found: Path) -> None:
    table = json.loads((found / "rivals.json").read_text())
    assert [row["name"] for row in table["rows"]] == ["mean-image", "pca"]
    assert list(table["skipped"]) == ["padim"]
    page = (found / "rivals.html").read_text()
    assert 'href="pca/report.html"' in page
    assert "padim" in page
    text = format_rivals(table)
    assert "| mean-image | 1.000 (" in text
    assert "left out: padim" in text
    assert [row[0] for row in csv_rows(table)] == ["mean-image", "pca"]


@pytest.mark.slow
def test_it_goes_on_where_it_stopped_and_refuses_other_settings(
    found: Path, images: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = (found / "pca" / "rival.pt").stat().st_mtime_ns
    monkeypatch.setattr(
        "qfae_monai.experiments.rivals.setting.Setting.normal_images", lambda _: pytest.fail("trained again")
    )
    asked = Asked(("pca",), epochs=5)  # which sees each image once
    assert run_rivals(Data(images), found, asked)["rows"][0]["name"] == "pca"
    assert (found / "pca" / "rival.pt").stat().st_mtime_ns == before
    with pytest.raises(ValueError, match="other"):
        run_rivals(Data(images), found, replace(asked, seed=7))


def test_an_unknown_name_is_refused_before_anything_is_looked_at(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"expected rivals of qfae, .*got 'resnet'"):
        run_rivals(Data(tmp_path / "none"), tmp_path / "out", Asked(("pca", "resnet")))
    assert not (tmp_path / "out").exists()


def test_data_without_normals_are_refused(tmp_path: Path) -> None:
    data = write_images(tmp_path / "data", {("test", "Ungood"): 4})
    with pytest.raises(ValueError, match="normal"):
        run_rivals(Data(data), tmp_path / "out", Asked(("pca",)))


def test_nobody_left_is_an_error_with_the_reasons(tmp_path: Path, images: Path) -> None:
    with pytest.raises(ValueError, match=r"got none of padim: .*(resnet18\.safetensors|anomalib)"):
        run_rivals(Data(images), tmp_path / "out", Asked(("padim",)))


def test_a_model_that_is_not_there_is_refused(tmp_path: Path, images: Path) -> None:
    with pytest.raises(FileNotFoundError, match="none"):
        of_model(tmp_path / "none", images)


@pytest.mark.slow
def test_the_method_is_trained_beside_its_rivals_and_held_against_them(tmp_path: Path, images: Path) -> None:
    table = run_rivals(Data(images), tmp_path, Asked(("qfae", "mean-image"), epochs=1, images=16))
    own, rival = table["rows"]
    assert own["difference"] is None
    assert rival["difference"]["value"] == pytest.approx(
        own["figures"]["image AUROC"]["value"] - rival["figures"]["image AUROC"]["value"]
    )
    assert (tmp_path / "model" / "model.json").is_file()
    assert RunFolder(own["run"]).patient_of == RunFolder(rival["run"]).patient_of
    with pytest.raises(ValueError, match="expected the scans that"):
        of_model(tmp_path / "model", tmp_path)
    assert of_model(tmp_path / "model", images).epochs >= 1
