"""Forty kinds of data list, of whatever truth: each ends in a report with what is defined, or in one sentence."""

from __future__ import annotations

import json
import shutil
from functools import partial
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
import pytest
from PIL import Image

from qfae_monai.model.bundle import Bundle
from qfae_monai.model.folder import TRAINING
from qfae_monai.model.runs import Data, ModelRun, evaluation
from tests.conftest import made_once
from tests.forked import in_two_processes

QUICK: dict[str, Any] = {"save_maps": False, "save_pictures": False, "rivals": None}
SHAPE, OTHER_SHAPE = (16, 16, 6), (20, 18, 5)
VOLUMES = 8  # 0 to 5 on one grid, 6 and 7 on another

N, A = {"image_label": 0}, {"image_label": 1}
DRAWN, EMPTY, FULL = "drawn", "empty", "full"


def m(name: str, **more: Any) -> dict[str, Any]:
    """An entry with a mask."""
    return {"label": name, **more}


FOUR = [N, N, m(DRAWN, **A), m(DRAWN, **A)]
CLASSES = [N, N, {**m(DRAWN, **A), "class": "Low grade"}, {**m(DRAWN, **A), "class": "low_grade "}]
SCANNERS = [{**one, "scanner": name} for one, name in zip(FOUR, ("GE", "Philips", "GE", "Philips"), strict=True)]

REPORTED: dict[str, tuple[list[dict[str, Any]], str]] = {
    "no mask, then masks": ([N, A, m(DRAWN, **A), m(EMPTY, **N)], "of the 2 cases with a mask, of 4"),
    "a mask, then none": ([m(DRAWN, **A), N, A, N], "of the 1 cases with a mask, of 4"),
    "abnormal without masks": ([A, A, N, N], "pixel-level figures are undefined: no case has a mask"),
    "unlabelled": ([{}, {}, {}], "expected normal and abnormal volumes, got 0 normal and 0 abnormal"),
    "some unlabelled": ([N, A, {}, m(DRAWN)], "1 of 4 cases have no label"),
    "normal alone": ([N, N, m(EMPTY)], "got 3 normal and 0 abnormal"),
    "abnormal alone": ([m(DRAWN, **A), m(DRAWN, **A)], "volumes, got 0 normal and 2 abnormal"),
    "abnormal alone, no masks": ([A, A], "slices, got 0 normal and 0 abnormal"),
    "all slices abnormal": ([m(FULL, **A), m(FULL, **A)], "slices, got 0 normal and 6 abnormal"),
    "an empty mask on an abnormal case": (
        [m(EMPTY, **A), N, m(DRAWN, **A)],
        "abnormal by its label, with an empty mask",
    ),
    "a lesion in a normal case": ([m(DRAWN, **N), N, A], "normal by its label, with a lesion in its mask"),
    "masks alone": ([m(DRAWN), m(EMPTY), m(EMPTY)], "The figures are of 3 patients"),
    "masks of fractions": ([m("float"), m(EMPTY), N], "of the 2 cases with a mask, of 3"),
    "null": ([{"label": None, "image_label": None}, N, A], "1 of 3 cases have no label"),
    "one case": ([m(DRAWN, **A)], "The figures are of 1 patient:"),
    "one patient": ([{**one, "patient": "P"} for one in FOUR], "The figures are of 1 patient:"),
    "several grids": ([N, m(DRAWN, **A), N, N, N, N, A, m(DRAWN, **A)], "of the 2 cases with a mask, of 8"),
    "a class in two spellings": (CLASSES, "spelt in 2 ways, which are counted as one: 'Low grade', 'low_grade'"),
    "a class of one patient": ([A, {**A, "class": "x"}], "class: one patient is no group"),
    "a class of normal cases": (
        [{**N, "class": "X"}, N, {**A, "class": "x"}],
        "Normal cases bear the class of abnormal",
    ),
    "no class of some": ([N, N, {**A, "class": "x"}, A], "in the smaller class of x (1), (none) (1)"),
    "a class that is a number": ([N, N, {**A, "class": 3}], "in the smaller class of 3 (1)"),
    "a patient in two classes": (
        [N, *({**A, "class": name, "patient": "P"} for name in "xy")],
        "class: 1 patient in several groups",
    ),
    "strata": (SCANNERS, "in the smaller class of GE (1), Philips (1)"),
    "a stratum of one patient": ([*SCANNERS[:3], {**A, "scanner": "Sie"}], "one patient is no group (Philips, Sie)"),
    "a stratum without values": ([*SCANNERS[:2], A, {**N, "scanner": ""}], "one patient is no group (GE, Philips)"),
    "strata of any type": (
        [{**N, "scanner": True}, {**A, "scanner": 0}, {**A, "scanner": 1.5}],
        "one patient is no group",
    ),
    "a stratum that a folder is called": (
        [{**one, "scanner": "masks"} for one in FOUR],
        "in the smaller class of masks (2)",
    ),
    "a stratum that a file is called": (
        [{**one, "scanner": "list.json"} for one in FOUR],
        "in the smaller class of list.json (2)",
    ),
    "a stratum that is spelt as none": (
        [{**N, "scanner": "(none)"}, N, {**A, "scanner": "(None)"}, {**A, "scanner": "x" * 300}],
        f"one patient is no group ({'x' * 60}...)",
    ),
    "a patient in two strata": ([{**one, "patient": "P"} for one in SCANNERS[:2]] + [A], "groups that share patients"),
    "images beside volumes": (
        [N, A, {"image": "g0.png", **N}],
        "Left aside before scoring: 1 scan (an image among volumes",
    ),
}
"""Entries of the test -> a part of a warning."""

REFUSED: dict[str, tuple[list[dict[str, Any]], str]] = {
    "a mask of another shape": ([N, m("other_shape", **A)], r"v1_other_shape.nii.gz: expected a mask of 16 x 16 x 6"),
    "a mask of another place": ([m("moved", **A), N], r"v0_moved.nii.gz: expected a mask on the grid of v0"),
    "a mask with NaN": ([N, m("nan", **A)], r"v1_nan.nii.gz: expected .*finite"),
    "a label that is text": ([N, {"image_label": "yes"}], r"entry 2.*image_label.*got 'yes'"),
    "a label that is 2": ([{"image_label": 2}], r"entry 1.*image_label.*got 2"),
    "a label that is true": ([{"image_label": True}], r"entry 1.*image_label.*got True"),
    "a class that is a list": ([{**A, "class": ["x"]}], r"entry 1.*class.*got a list of 1"),
    "a stratum that is a list": (
        [{**A, "scanner": "x"}, {**N, "scanner": ["y"]}],
        r"case 2, scanner: expected a text or a number",
    ),
    "two cases of one name": ([{**N, "case": "a"}, {**A, "case": "A"}], r"expected a case of its own .*v0.*v1"),
    "no file": ([N, {"image": "none.nii.gz"}], r"expected every file to exist.*none.nii.gz"),
    "no cases": ([], "expected scans in the sections"),
    "one image twice": ([N, {"image": "v0.nii.gz"}], "expected each image once"),
    "a mask that is a folder's": ([m("label_is_null_text", label="null")], "expected every file to exist"),
}
"""Entries of the test -> a pattern of the sentence."""


def write_scans(folder: Path) -> None:
    """Volumes with masks of any kind, and images of two sizes."""
    (folder / "masks").mkdir()
    for number in range(VOLUMES):
        shape = SHAPE if number < 6 else OTHER_SHAPE
        rng = np.random.default_rng(number)
        image = np.zeros(shape, np.float32)
        image[3:-3, 3:-3] = 0.5 + 0.1 * rng.standard_normal(image[3:-3, 3:-3].shape)
        drawn = np.zeros(shape, np.float32)
        drawn[6:9, 6:9, 2:4] = 1
        not_finite = np.where(drawn, np.nan, drawn)
        masks = {DRAWN: drawn, EMPTY: drawn * 0, FULL: drawn * 0 + 1, "float": drawn * 0.7, "nan": not_finite}
        for name, values in {"": image, **masks, "other_shape": np.zeros((5, 5, 5)), "moved": drawn}.items():
            affine = np.diag([1, 1, 2.5, 1]) if name == "moved" else np.eye(4)
            file = folder / f"v{number}{'_' if name else ''}{name}.nii.gz"
            nib.save(nib.Nifti1Image(values.astype(np.float32), affine), file)
        size = (32, 32) if number < 6 else (24, 40)
        pixels = np.clip(120 + 30 * rng.standard_normal(size), 1, 255).astype(np.uint8)
        Image.fromarray(pixels).save(folder / f"g{number}.png")
        for name, values in {
            DRAWN: np.eye(*size) * 255,
            EMPTY: np.zeros(size),
            "other_shape": np.zeros((9, 9)),
        }.items():
            Image.fromarray(values.astype(np.uint8)).save(folder / f"g{number}_{name}.png")


@pytest.fixture(scope="module")
def scans_of_any_truth(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return made_once(tmp_path_factory, "any-truth", write_scans)


def prepared(
    model: Path, scans: Path, out: Path, entries: list[dict[str, Any]], *, batch: int, image: str = "v{}.nii.gz"
) -> ModelRun:
    """The evaluation of a data list, whose masks are named by their kind."""
    listed = []
    for number, entry in enumerate(entries):
        own = {"image": image.format(number), "patient": f"p{number}", **entry}
        if own.get("label"):
            own["label"] = str(scans / image.format(f"{number}_{own['label']}"))
        listed.append({**own, "image": str(scans / own["image"])})
    datalist = out.parent / "list.json"
    datalist.write_text(json.dumps({"test": listed}))
    by = ["scanner"] if any("scanner" in entry for entry in entries) else []
    return evaluation(model, Data(datalist), out, by=by, settings={**QUICK, "test_batch_size": batch})


def warnings_of(out: Path) -> str:
    assert (out / "report.html").is_file()
    return "\n".join(json.loads((out / "evaluation.json").read_text())["warnings"])


@pytest.mark.parametrize("kind", REPORTED)
def test_ends_in_a_report(kind: str, model_folder: Path, scans_of_any_truth: Path, tmp_path: Path) -> None:
    entries, expected = REPORTED[kind]
    prepared(model_folder, scans_of_any_truth, tmp_path / "out", entries, batch=4).run()
    assert expected in warnings_of(tmp_path / "out")


@pytest.mark.parametrize("kind", REFUSED)
def test_ends_in_one_sentence(kind: str, model_folder: Path, scans_of_any_truth: Path, tmp_path: Path) -> None:
    entries, expected = REFUSED[kind]
    with pytest.raises((ValueError, OSError), match=expected) as refused:
        prepared(model_folder, scans_of_any_truth, tmp_path / "out", entries, batch=4).run()
    assert "\n" not in str(refused.value).strip()


@pytest.mark.parametrize("column", ["score", "volume_label", "anomaly_map", "columns"])
def test_a_column_may_be_called_as_an_output(
    column: str, model_folder: Path, scans_of_any_truth: Path, tmp_path: Path
) -> None:
    listed = [{"image": str(scans_of_any_truth / f"v{n}.nii.gz"), "image_label": n % 2, column: n} for n in range(2)]
    (tmp_path / "list.json").write_text(json.dumps({"test": listed}))
    evaluation(model_folder, Data(tmp_path / "list.json"), tmp_path / "out", by=[column], settings=QUICK).run()
    found = json.loads((tmp_path / "out" / "evaluation.json").read_text())["strata"][column]["groups"]
    assert [one["name"] for one in found] == ["0", "1"]


@pytest.mark.parametrize("column", ["$open('x')", "@seed", "%fat"])
def test_a_column_that_a_configuration_would_evaluate_is_refused(
    column: str, model_folder: Path, scans_of_any_truth: Path, tmp_path: Path
) -> None:
    listed = [{"image": str(scans_of_any_truth / f"v{n}.nii.gz"), column: n} for n in range(2)]
    (tmp_path / "list.json").write_text(json.dumps({"test": listed}))
    with pytest.raises(ValueError, match=r"strata: expected names of columns that do not begin with"):
        evaluation(model_folder, Data(tmp_path / "list.json"), tmp_path / "out", by=[column], settings=QUICK)


def test_the_name_of_a_folder_is_not_evaluated(model_folder: Path, scans_of_any_truth: Path, tmp_path: Path) -> None:
    folder = tmp_path / "$1 + 1"
    folder.mkdir()
    listed = [{"image": str(scans_of_any_truth / "v0.nii.gz"), "image_label": 0}]
    (folder / "dataset.json").write_text(json.dumps({"test": listed}))
    evaluation(model_folder, Data(folder), tmp_path / "out", settings=QUICK).run()
    assert json.loads((tmp_path / "out" / "run.json").read_text())["name"] == "./$1 + 1"


@pytest.mark.parametrize("kind", ["no mask, then masks", "several grids", "a class in two spellings"])
def test_batches_find_what_single_cases_find(
    kind: str, model_folder: Path, scans_of_any_truth: Path, tmp_path: Path
) -> None:
    entries, _ = REPORTED[kind]
    for batch in (1, 4):
        prepared(model_folder, scans_of_any_truth, tmp_path / str(batch), entries, batch=batch).run()
    for name in ("volumes.csv", "slices.csv", "lesions.csv", "truth.csv", "evaluation.json"):
        one, four = ((tmp_path / str(batch) / name).read_text() for batch in (1, 4))
        assert one == four, name


IMAGES: dict[str, tuple[list[dict[str, Any]], str]] = {
    "a mask, then none": ([m(DRAWN, **A), A, N, m(EMPTY, **N)], "of the 3 cases with a mask, of 4"),
    "an empty mask on an abnormal image": (
        [m(EMPTY, **A), N, m(DRAWN, **A)],
        "abnormal by its label, with an empty mask",
    ),
    "several sizes": ([A, m(DRAWN, **A), N, N, N, N, N, m(DRAWN)], "of the 7 cases with a mask, of 8"),
    "volumes beside images": ([N, A, {"image": "v0.nii.gz", **N}], "1 scan (a volume among images: 1)"),
}
"""Entries of a test of single images -> a part of a warning."""


@pytest.mark.parametrize("kind", IMAGES)
def test_images_end_in_a_report(kind: str, image_model: Path, scans_of_any_truth: Path, tmp_path: Path) -> None:
    entries, expected = IMAGES[kind]
    prepared(image_model, scans_of_any_truth, tmp_path / "out", entries, batch=4, image="g{}.png").run()
    assert expected in warnings_of(tmp_path / "out")


def test_folders_below_ungood_are_classes_of_the_report(
    image_model: Path, scans_of_any_truth: Path, tmp_path: Path
) -> None:
    for number, place in enumerate(("train/good", "test/good", "test/good", "test/Ungood/a", "test/Ungood/b")):
        (tmp_path / "data" / place).mkdir(parents=True, exist_ok=True)
        shutil.copy(scans_of_any_truth / f"g{number}.png", tmp_path / "data" / place)
    evaluation(image_model, Data(tmp_path / "data"), tmp_path / "out", settings=QUICK).run()
    found = json.loads((tmp_path / "out" / "evaluation.json").read_text())["classes"]
    assert [(one["name"], one["normal_patients"], one["abnormal_patients"]) for one in found] == [
        ("a", 2, 1),
        ("b", 2, 1),
    ]
    assert found[0]["metrics"]["image"]["auroc"]["value"] in (0, 0.5, 1)


def evaluate_beside_others(model: Path, settings: dict[str, Any]) -> None:
    """One of several processes."""
    Bundle([model / TRAINING, "evaluate", "distributed"], settings).run("evaluating")


@pytest.mark.cpu
def test_two_processes_end_in_one_sentence(model_folder: Path, scans_of_any_truth: Path, tmp_path: Path) -> None:
    """The process that meets the mask of another grid says so, and the other does not wait for it."""
    run = prepared(model_folder, scans_of_any_truth, tmp_path / "out", FOUR, batch=1)
    listed = json.loads((tmp_path / "out" / "dataset.json").read_text())
    listed["test"][0]["label"] = str(scans_of_any_truth / "v0_other_shape.nii.gz")
    (tmp_path / "out" / "dataset.json").write_text(json.dumps(listed))
    with pytest.raises(AssertionError, match=r"v0_other_shape.nii.gz and image .*: expected one shape"):
        in_two_processes(partial(evaluate_beside_others, model_folder, dict(run.settings)), tmp_path / "logs")
    assert not (tmp_path / "out" / "evaluation.json").exists()


@pytest.mark.cpu
def test_two_processes_find_what_one_finds(model_folder: Path, scans_of_any_truth: Path, tmp_path: Path) -> None:
    entries = [dict(one) for one in SCANNERS]
    del entries[2]["label"]
    for name in ("one", "two"):
        run = prepared(model_folder, scans_of_any_truth, tmp_path / name, entries, batch=4)
        if name == "one":
            run.run()
        else:
            in_two_processes(partial(evaluate_beside_others, model_folder, dict(run.settings)), tmp_path / "logs")
    for name in ("volumes.csv", "slices.csv", "truth.csv", "evaluation.json"):
        assert (tmp_path / "one" / name).read_text() == (tmp_path / "two" / name).read_text(), name
