"""Evaluate and calibrate a model, and pretrain, on data as they lie: which scans are run on, what is refused."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from qfae_monai.model.folder import CALIBRATION, LOCAL, ModelFolder
from qfae_monai.model.packing import pack
from qfae_monai.model.runs import KEY, Data, calibration, evaluation, pretraining
from tests.model.made_up import picture, volume


def labelled(normal: Path, cohort: Path | None = None) -> Data:
    ill = cohort or normal
    return Data(normal / "normal", ill / "abnormal", ill / "masks")


def sections(datalist: Path) -> dict[str, int]:
    content = json.loads(datalist.read_text())
    return {name: len(content.get(name, [])) for name in ("training", "validation", "test")}


def image_less(model: Path, place: Path) -> Path:
    """The model on a machine without its training scans."""
    copied = Path(shutil.copytree(model, place / "elsewhere"))
    shutil.rmtree(copied / LOCAL)
    return copied


@pytest.fixture
def own_copy(trained_folder: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(trained_folder, tmp_path / "own" / "model"))


@pytest.fixture(scope="module")
def evaluated(trained_folder: Path, cohort_folders: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folder with two runs, of the model and of the packed one, each of every scan."""
    folder = tmp_path_factory.mktemp("runs")
    tested = json.loads((trained_folder / LOCAL / "dataset.json").read_text())
    apart = [Path(entry["image"]) for entry in tested["validation"] + tested["test"] if not entry.get("image_label")]
    for file in apart:
        (folder / "normal").mkdir(exist_ok=True)
        shutil.copy(file, folder / "normal" / file.name)
    packed = pack(trained_folder, folder / "model.zip")
    first = evaluation(trained_folder, labelled(cohort_folders), folder / "a")
    second = evaluation(packed, labelled(folder, cohort_folders), folder / "b")
    for run in (first, second):
        run.run()
    (folder / "notes").write_text("\n".join(run.notes[-1] for run in (first, second)))
    return folder


def test_every_scan_that_was_not_trained_on_is_evaluated(evaluated: Path, trained_folder: Path) -> None:
    """A packed model does not know what it was trained on, and says so."""
    assert sections(evaluated / "a" / "dataset.json") == {"training": 2, "validation": 0, "test": 3}
    assert sections(evaluated / "b" / "dataset.json") == {"training": 0, "validation": 0, "test": 3}
    assert (evaluated / "notes").read_text().splitlines() == [
        "left aside, trained on: 2 of 5 scans",
        "the training scans are not on this machine: no simple rivals beside the model's figures",
    ]
    found = json.loads((evaluated / "a" / "evaluation.json").read_text())
    assert found["metrics"]["volume"]["auroc"]["value"] is not None
    assert (evaluated / "a" / "report.html").is_file()
    record = json.loads((evaluated / "a" / "run.json").read_text())
    assert record["name"] == "normal"
    assert ModelFolder.open(trained_folder).files["models/model.pt"] in json.dumps(record)


def test_runs_that_lie_side_by_side_can_be_compared(
    trained_folder: Path, evaluated: Path, cohort_folders: Path, tmp_path: Path
) -> None:
    """Their scans have the same names, of one key."""
    assert (evaluated / KEY).is_file()
    cases = []
    for name in ("a", "b"):
        evaluation(trained_folder, labelled(cohort_folders), tmp_path / name)
        content = json.loads((tmp_path / name / "dataset.json").read_text())
        cases.append([entry["case"] for entry in content["test"]])
    assert cases[0] == cases[1]


def test_a_model_that_was_evaluated_is_as_it_was(evaluated: Path, trained_folder: Path) -> None:
    assert evaluated.is_dir()
    model = ModelFolder.open(trained_folder)
    model.check(list(model.files))


def test_the_test_section_alone_is_evaluated_where_there_is_one(
    trained_folder: Path, scans: Path, tmp_path: Path
) -> None:
    run = evaluation(trained_folder, Data(scans / "dataset.json"), tmp_path / "run")
    assert sections(tmp_path / "run" / "dataset.json")["test"] == 3
    assert run.run_id == "evaluating"
    line = run.bundle.command("evaluating")
    assert line.startswith("python -m monai.bundle run evaluating --config_file \"['")
    assert "evaluate.yaml']\" " in line
    assert "--rivals" not in line  # the training scans are there
    gone = evaluation(image_less(trained_folder, tmp_path), Data(scans / "dataset.json"), tmp_path / "other")
    assert "--rivals '$None'" in gone.bundle.command("evaluating")


def test_new_thresholds_come_from_scans_that_were_not_trained_on(own_copy: Path, cohort_folders: Path) -> None:
    before = json.loads((own_copy / CALIBRATION).read_text())
    run = calibration(own_copy, Data(cohort_folders / "normal"))
    assert "left aside, trained on: 2 of 4 scans" in run.notes
    assert sections(own_copy / LOCAL / "calibration" / "dataset.json")["validation"] == 2
    run.run()
    now = json.loads((own_copy / CALIBRATION).read_text())
    assert len(now["volume_scores"]) == 2
    assert now["settings"] == before["settings"]
    model = ModelFolder.open(own_copy)
    model.check(list(model.files))  # the manifest knows the new thresholds, and the card


def test_what_cannot_give_thresholds_is_refused(own_copy: Path, cohort_folders: Path, tmp_path: Path) -> None:
    trained = json.loads((own_copy / LOCAL / "dataset.json").read_text())["training"]
    for number, entry in enumerate(trained):
        (tmp_path / "trained").mkdir(exist_ok=True)
        (tmp_path / "trained" / f"{number}.nii.gz").symlink_to(entry["image"])
    before = (own_copy / CALIBRATION).read_bytes()
    with pytest.raises(ValueError, match="expected a model folder, which takes new thresholds, got a file"):
        calibration(pack(own_copy, tmp_path / "model.zip"), Data(cohort_folders / "normal"))
    with pytest.raises(FileNotFoundError, match="none"):
        calibration(own_copy, Data(tmp_path / "none"))
    (own_copy / LOCAL / "dataset.json").write_text(
        json.dumps({"training": [{"image": str(path.absolute())} for path in (cohort_folders / "normal").iterdir()]})
    )
    with pytest.raises(ValueError, match="expected normal scans that the model was not trained on, got none"):
        calibration(own_copy, Data(cohort_folders / "normal"))
    assert (own_copy / CALIBRATION).read_bytes() == before


def test_a_model_that_is_none_and_settings_that_are_none_leave_no_output(
    trained_folder: Path, own_copy: Path, cohort_folders: Path, tmp_path: Path
) -> None:
    data, out = labelled(cohort_folders), tmp_path / "out"
    with pytest.raises(FileNotFoundError, match="expected a model folder"):
        evaluation(cohort_folders, data, out)
    with pytest.raises(ValueError, match=r"expected a key of the configuration, got 'forward_bach'; .*'forward_batch'"):
        evaluation(trained_folder, data, out, settings={"forward_bach": 4})
    text = (own_copy / "configs" / "training.yaml").read_text()
    (own_copy / "configs" / "training.yaml").write_text(text.replace("imports:", "imports:\n- $print(1)\n", 1))
    with pytest.raises(ValueError, match=r"training\.yaml: expected what this package writes, or --trust"):
        evaluation(own_copy, data, out)
    assert not out.exists()


def test_scans_of_another_kind_are_refused(trained_folder: Path, tmp_path: Path) -> None:
    for number in range(3):
        picture(tmp_path / "images" / f"{number}.png", number)
    with pytest.raises(ValueError, match=r"images: expected volumes, as the model was trained on, got images"):
        evaluation(trained_folder, Data(tmp_path / "images"), tmp_path / "out")
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("method", ["mae", "dino"])
def test_pretraining_splits_by_patient_and_names_its_run(method: str, tmp_path: Path) -> None:
    for number in range(4):
        volume(tmp_path / "scans" / f"{number}.nii.gz", number)
    out = tmp_path / "weights"
    run_id, bundle, notes = pretraining(method, Data(tmp_path / "scans"), out, size="tiny", settings={"seed": 3})
    assert run_id == f"pretraining_{method}"
    assert run_id in bundle
    assert sections(out / "data" / "dataset.json") == {"training": 2, "validation": 2, "test": 0}
    assert any("4 volumes of 4 patients" in note for note in notes)
    assert bundle.config["seed"] == 3


def test_a_model_that_was_passed_on_says_that_it_knows_no_near_duplicates(
    trained_folder: Path, cohort_folders: Path, tmp_path: Path
) -> None:
    said = "the training's pictures are not on this machine: near-duplicates of its scans are not looked for"
    assert said not in evaluation(trained_folder, labelled(cohort_folders), tmp_path / "a").notes
    moved = image_less(trained_folder, tmp_path)
    assert said in evaluation(moved, labelled(cohort_folders), tmp_path / "b").notes
