"""Any tree to slices: pixels, places, splits, formats, refusals, identifiers; and the bundle trains on the outcome."""

from __future__ import annotations

import json
import os
import stat
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pydicom
import pytest

from preprocessing.volumes import Volumes, app
from qfae_monai.data import check_patient_disjoint, image_folder_datalist, volume_datalist
from qfae_monai.model.bundle import Bundle
from qfae_monai.model.folder import NETWORK
from tests.preprocessing.conftest import pixels
from tests.preprocessing.phantoms import IDENTIFIERS, dicom_study, nifti, texture

MASKS = ("--image", "*flair*", "--label", "*seg*")
ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def cohort(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Ten patients of 12 x 10 x 6 voxels, a lesion in slices 2 and 3; slice 5 is empty."""
    folder = tmp_path_factory.mktemp("cohort")
    for number in range(10):
        image, label = texture((12, 10, 6), number), np.zeros((12, 10, 6), np.uint8)
        image[:, :, 5] = 0
        label[3:6, 4:8, 2:4] = 1
        nifti(folder / f"patient{number}" / "flair.nii.gz", image)
        nifti(folder / f"patient{number}" / "seg.nii.gz", label)
    return folder


def test_splits_are_by_patient_and_the_layout_is_bmads(cohort: Path, run: Any) -> None:
    made = run(app, cohort, *MASKS)
    assert made.exit_code == 0, made.text
    # slices 0, 1, 4 are normal and 2, 3 are not: of 7, 1 and 2 patients
    assert made.counts == {
        ("train", 0): 21,
        ("valid", 0): 3,
        ("valid", 1): 2,
        ("test", 0): 6,
        ("test", 1): 4,
    }
    assert len(image_folder_datalist(made.output, "train")) == 21
    assert len(image_folder_datalist(made.output, "test", require_masks=True)) == 10
    check_patient_disjoint(made.output / "dataset.json")
    entries = volume_datalist(made.output / "dataset.json", "test")
    assert sorted(entry["image_label"] for entry in entries) == [0] * 6 + [1] * 4
    assert not any(b"patient3" in content for content in made.files().values())


def test_seed_decides_the_splits_and_nothing_else_does(cohort: Path, run: Any) -> None:
    first, again, other = (run(app, cohort, *MASKS, "--seed", seed, name=f"o{i}") for i, seed in enumerate((1, 1, 2)))
    assert first.files() == again.files()
    assert first.patients("test") != other.patients("test")


def test_slices_are_cut_as_most_scans_were_acquired_and_it_is_said(tmp_path: Path, run: Any) -> None:
    for number in range(3):
        nifti(tmp_path / "in" / f"p{number}.nii.gz", texture((5, 20, 16), number), np.diag([4.8, 1.0, 1.0, 1.0]))
    made = run(app, tmp_path / "in", "--normal")
    said = "slices across axis 0: sagittal, the plane that 3 of 3 scans were acquired in"
    assert said in made.text
    assert said in (made.output / "patients.txt").read_text()
    assert {(row["rows"], row["columns"]) for row in made.rows} == {("16", "20")}


@pytest.mark.parametrize("axis", [0, 1, 2])
def test_pixels_lie_where_the_manifest_says(cohort: Path, run: Any, axis: int) -> None:
    made = run(
        app, cohort, "--image", "*flair*", "--normal", "--axis", axis, "--percentiles", 0, 100, "--fractions", 1, 0, 0
    )
    assert made.exit_code == 0, made.text
    volumes = [texture((12, 10, 6), number).astype(float) for number in range(10)]
    for volume in volumes:
        volume[:, :, 5] = 0
    to_voxel = np.linalg.inv(np.diag([-2.0, -3.0, 5.0, 1.0]))
    for row in made.rows[:6]:
        image = pixels(made.output / row["output"])
        affine = np.array(row["affine"].split(), dtype=float).reshape(4, 4)
        places = np.array([[r, c, 0, 1] for r, c in np.ndindex(image.shape)])
        x, y, z, _ = np.rint(to_voxel @ affine @ places.T).astype(int)
        scaling = json.loads(row["scaling"])
        fits = [
            np.abs(
                255 * ((v[x, y, z] - scaling["low"]) / (scaling["high"] - scaling["low"])).clip(0, 1) - image.ravel()
            )
            for v in volumes
        ]
        assert sum(fit.max() <= 0.51 for fit in fits) == 1  # the row's own volume, in every pixel


def test_range_window_and_formats(cohort: Path, run: Any) -> None:
    options = ("--image", "*flair*", "--normal", "--range", 1, 2, "--window", 0, 1000)
    made = {form: run(app, cohort, *options, "--format", form, name=form) for form in ("png8", "png16", "npy")}
    assert {row["slice_index"] for row in made["npy"].rows} == {"1", "2"}
    for form, top, dtype in (("png8", 255, np.uint8), ("png16", 65535, np.uint16), ("npy", 1, np.float32)):
        path = made[form].output / made[form].rows[0]["output"]
        image = np.load(path) if form == "npy" else pixels(path)
        unit = np.load(made["npy"].output / made["npy"].rows[0]["output"])
        assert image.dtype == dtype
        assert np.abs(image / top - unit).max() <= 0.51 / top + 1e-6
        assert np.abs(unit * 1000 - np.rint(unit * 1000)).max() < 1e-3  # values 1..999 over a window of 1,000


def test_unmarked_images_are_refused_unless_said_to_be_normal(cohort: Path, run: Any) -> None:
    made = run(app, cohort, "--image", "*flair*")
    assert made.exit_code == 2
    assert "expected a mask on its grid" in made.refused[0]["reason"]
    assert run(app, cohort, "--image", "*flair*", "--normal", name="normal").exit_code == 0


def test_refused_source_does_not_stop_the_others(tmp_path: Path, run: Any) -> None:
    for number in range(4):
        nifti(tmp_path / "in" / f"p{number}" / "flair.nii.gz", texture((8, 8, 4), number))
    broken = tmp_path / "in" / "p2" / "flair.nii.gz"
    broken.write_bytes(broken.read_bytes()[:200])
    made = run(app, tmp_path / "in", "--normal")
    assert made.exit_code == 1
    assert str(broken) in made.text
    assert len(made.refused) == 1
    assert "p2" not in made.refused[0]["reason"]
    assert "file 1" in made.refused[0]["reason"]
    assert len({row["patient"] for row in made.rows}) == 3
    assert made.refused[0]["patient"] in (made.output / "qc.html").read_text()


def test_datalist_gives_images_labels_and_splits(cohort: Path, tmp_path: Path, run: Any) -> None:
    def entry(number: int, **more: Any) -> dict[str, Any]:
        return {"image": str(cohort / f"patient{number}" / "flair.nii.gz"), "patient": f"P{number}", **more}

    label = str(cohort / "patient1" / "seg.nii.gz")
    datalist = tmp_path / "list.json"
    datalist.write_text(
        json.dumps({"training": [entry(0, image_label=0)], "test": [entry(1, label=label), entry(2, image_label=1)]})
    )
    made = run(app, cohort, "--datalist", datalist)
    assert made.exit_code == 0, made.text
    assert made.counts == {("train", 0): 5, ("test", 0): 3, ("test", 1): 2 + 5}


def test_other_settings_in_one_output_are_refused(cohort: Path, run: Any) -> None:
    run(app, cohort, *MASKS)
    made = run(app, cohort, *MASKS, "--seed", 7)
    assert made.exit_code == 2
    assert "seed was 42, is 7" in made.text
    other = run(app, cohort, *MASKS, "--key", made.output.parent / "other.key")
    assert "key was" in other.text


def test_folder_that_is_not_ours_is_left_alone(cohort: Path, tmp_path: Path, run: Any) -> None:
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "thesis.txt").write_text("mine")
    made = run(app, cohort, *MASKS)
    assert made.exit_code == 2
    assert (tmp_path / "out" / "thesis.txt").read_text() == "mine"


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("--range", 5, 2), r"expected a range 0 <= first <= last, got (5, 2)"),
        (("--window", 5, 2), "expected a window low < high"),
        (("--fractions", 0, 0, 0), "not all 0"),
        (("--allow", "everything"), "got ['everything']"),
        (("--image", "*t1*"), "expected images named '*t1*', found flair.nii.gz, seg.nii.gz"),
        (("--patient", "(unclosed"), "expected a regular expression"),
    ],
)
def test_bad_options_are_named(cohort: Path, run: Any, options: tuple, message: str) -> None:
    made = run(app, cohort, *options)
    assert made.exit_code == 2
    assert message in " ".join(made.text.split())


def identifiers(folder: Path) -> set[bytes]:
    """Every identifying value of a tree's DICOM files, their names, and the tree's own path."""
    found = {str(folder), *IDENTIFIERS.values()}
    for path in folder.rglob("*.dcm"):
        dataset = pydicom.dcmread(path)
        found |= {path.stem, dataset.SOPInstanceUID, dataset.SeriesInstanceUID, dataset.StudyInstanceUID}
    return {text.encode() for text in found}


def test_outputs_hold_no_identifier(tmp_path: Path, run: Any) -> None:
    folder = dicom_study(tmp_path / "Johanna Doe", BurnedInAnnotation="YES")
    dicom_study(folder / "gap", leave_out=(2,), PatientID="MRN-1")
    made = run(app, folder, "--image", "FLAIR", "--label", "ROI")
    assert made.exit_code == 1, made.text
    assert "Johanna" in made.text  # the user's own screen
    leaked = {(name, text) for name, content in made.files().items() for text in identifiers(folder) if text in content}
    assert not leaked
    assert all(b"Johanna" not in name.encode() for name in made.files())
    assert "missing-slice" in made.refused[0]["reason"]
    assert "10" in made.refused[0]["reason"]  # mm
    assert {row["burned_in_annotation"] for row in made.rows} == {"yes"}
    page = (made.output / "qc.html").read_text()
    assert "text is burned into their pixels" in page
    assert made.rows[0]["series"] in page


def test_allowed_risk_is_written_down_without_names(tmp_path: Path, run: Any) -> None:
    folder = dicom_study(tmp_path / "in", leave_out=(2,))
    made = run(app, folder, "--image", "FLAIR", "--label", "ROI", "--allow", "missing-slice")
    assert made.exit_code == 0, made.text
    assert all(row["allowed_risks"].startswith("missing-slice: ") for row in made.rows)
    assert {row["slice_index"] for row in made.rows} == {"0", "1", "4", "5"}  # 2 is filled, 3 has the lesion
    leaked = {text for content in made.files().values() for text in identifiers(folder) if text in content}
    assert not leaked


def test_burned_in_can_be_refused(tmp_path: Path, run: Any) -> None:
    folder = dicom_study(tmp_path / "in", BurnedInAnnotation="YES")
    made = run(app, folder, "--image", "FLAIR", "--label", "ROI", "--refuse-burned-in")
    assert made.exit_code == 2
    assert "BurnedInAnnotation YES" in made.refused[0]["reason"]
    assert made.refused[0]["burned_in_annotation"] == "yes"
    assert not list(made.output.rglob("*.png"))


def test_key_is_made_for_its_owner_alone_and_outside(tmp_path: Path, cohort: Path, run: Any) -> None:
    key = tmp_path / "keys" / "new.key"
    made = run(app, cohort, *MASKS, "--key", key)
    assert made.exit_code == 0
    assert stat.S_IMODE(key.stat().st_mode) == 0o600
    assert key.read_bytes().strip() not in b"".join(made.files().values())
    inside = run(app, cohort, *MASKS, "--key", tmp_path / "x" / "my.key", name="x")
    assert inside.exit_code == 2
    assert "outside of the output" in inside.text


@pytest.mark.parametrize(
    ("form", "overlays"), [("png8", ()), ("png16", ()), ("npy", ("datasets/image_list", "datasets/npy"))]
)
def test_bundle_trains_on_the_output(cohort: Path, tmp_path: Path, run: Any, form: str, overlays: tuple) -> None:
    made = run(app, cohort, *MASKS, "--format", form)
    settings: dict[str, Any] = {
        "preset": "tiny",
        "dataset_dir": str(made.output),
        "model_dir": str(tmp_path / "m"),
        "output_dir": str(tmp_path / "eval"),
        "batch_size": 4,
        "max_epochs": 1,
    }
    names = ["train", "datasets/bmad", *overlays]
    Bundle(names, settings).run("training", quiet=True)
    Bundle([*names, "evaluate"], settings).run("evaluating", quiet=True)
    assert (tmp_path / "m" / NETWORK).is_file()
    assert len((tmp_path / "eval" / "slices.csv").read_text().splitlines()) == 1 + 10


REAL = pytest.mark.skipif("QFAE_REAL_DATA" not in os.environ, reason="QFAE_REAL_DATA does not point at real scans")


@pytest.mark.realdata
@REAL
def test_bundle_trains_on_a_glioma_cohort(tmp_path: Path, run: Any) -> None:
    folder = Path(os.environ["QFAE_REAL_DATA"]) / "brats2015_nifti"
    made = run(app, folder, "--image", "*Flair*", "--label", "*OTMultiClass*", "--range", 40, 110)
    assert made.exit_code == 0, made.text
    assert len({row["patient"] for row in made.rows}) == 6
    train_with_bmad(made.output, tmp_path)


@pytest.mark.realdata
@REAL
def test_bundle_trains_on_a_dicom_study(tmp_path: Path, run: Any) -> None:
    folder = Path(os.environ["QFAE_REAL_DATA"]) / "brainix_dicom"
    made = run(app, folder, "--image", "FLAIR", "--label", "ROI")
    assert made.exit_code == 0, made.text
    assert made.counts == {("train", 0): 14}  # one patient is in one split; the tumour is in 8 of 22 slices
    leaked = {text for content in made.files().values() for text in identifiers(folder) if text in content}
    assert not leaked - {str(folder).encode()}
    # there is no second patient to validate on
    train_with_bmad(
        made.output, tmp_path, "--validate#dataset#data", f"$data.image_folder_datalist('{made.output}', 'train')"
    )


def train_with_bmad(output: Path, work: Path, *more: str) -> None:
    """One epoch, by the command that the documentation gives."""
    configs = [f"bundles/qfae/configs/{name}.yaml" for name in ("train", "datasets/bmad")]
    subprocess.run(
        [
            sys.executable,
            "-m",
            "monai.bundle",
            "run",
            "training",
            "--config_file",
            str(configs),
            "--bundle_root",
            "bundles/qfae",
            "--preset",
            "tiny",
            "--dataset_dir",
            str(output),
            "--model_dir",
            str(work / "model"),
            "--max_epochs",
            "1",
            "--batch_size",
            "8",
            *more,
        ],
        cwd=ROOT,
        check=True,
    )
    assert (work / "model" / NETWORK).is_file()


def test_near_duplicates_are_kept_in_one_split(cohort: Path, tmp_path: Path, run: Any) -> None:
    """Patients 0 to 3 once more, flipped and in other units: whatever the seed, with their originals."""
    for number in range(10):
        image = texture((12, 10, 6), number)
        nifti(tmp_path / "in" / f"p{number}" / "t1.nii.gz", image)
        if number < 4:
            nifti(tmp_path / "in" / f"q{number}" / "t1.nii.gz", np.ascontiguousarray(2 * image[::-1]))
    made = run(app, tmp_path / "in", "--normal", "--group-duplicates")
    assert made.exit_code == 0, made.text
    assert "4 pairs of near-duplicates of different patients: 8 of 14 patients are split as 4 patients" in made.text
    assert len({row["patient"] for row in made.rows}) == 14
    recipe = Volumes(normal=True, group_duplicates=True)
    for seed in range(5):
        split = {one.patient: one.split for one in recipe.plan(recipe.find(tmp_path / "in"), [], seed)}
        assert all(split[f"p{number}"] == split[f"q{number}"] for number in range(4))
    listed = run(app, cohort, "--datalist", made.output / "dataset.json", "--group-duplicates", name="refused")
    assert listed.exit_code == 2
    assert "expected scans that are to be split, got --datalist" in listed.text
