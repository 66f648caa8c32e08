"""`qfae train` from scans to a model: what is in it, how it goes on after a kill, and what it refuses to begin."""

from __future__ import annotations

import json
import re
import shutil
import signal
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from qfae_monai import train
from qfae_monai.model.bundle import Bundle
from qfae_monai.model.folder import CALIBRATION, FIGURES, FINGERPRINT, MANIFEST, NETWORK, PLAN, ModelFolder
from qfae_monai.model.plan import Plan
from qfae_monai.model.runs import KEY, Data
from qfae_monai.model.training import Training, Wishes, last_resumable
from tests.conftest import BUDGET
from tests.forked import exit_code
from tests.model.killed import train_until
from tests.model.made_up import mask, volume


def begin(cohort: Path, output: Path, **changed: Any) -> Training:
    """A training that is not run."""
    return Training(Data(cohort / "normal"), output, Wishes(images=BUDGET, **changed))


def test_a_training_ends_in_a_model_that_explains_itself(trained_folder: Path, cohort_folders: Path) -> None:
    model = ModelFolder.open(trained_folder)
    model.check(list(model.files))
    assert {NETWORK, CALIBRATION, FINGERPRINT, PLAN, FIGURES, "configs/inference.yaml"} <= set(model.files)
    assert not [name for name in model.files if name.startswith("training/")]
    assert json.loads((trained_folder / FINGERPRINT).read_text())["scans"] == 2
    assert "2 scans" in (trained_folder / "docs" / "README.md").read_text()
    handed_on = b"".join((trained_folder / name).read_bytes() for name in model.files if not name.endswith(".pt"))
    assert str(cohort_folders).encode() not in handed_on
    assert b"training-00" not in handed_on  # names of scans
    assert not list((trained_folder / "training").glob("resume*"))
    assert (trained_folder.parent / KEY).is_file()


def test_a_killed_training_goes_on_and_ends_in_the_same_model(
    trained_folder: Path, cohort_folders: Path, tmp_path: Path
) -> None:
    output = tmp_path / "model"
    shutil.copy(trained_folder.parent / KEY, tmp_path)  # pseudonyms of the other, to compare results by case
    left: dict[str, list[bool]] = {}
    for when in ("training", "calibrating", "evaluating"):
        work = partial(train_until, when, cohort_folders, output)
        assert exit_code(work, tmp_path / f"{when}.log") == -signal.SIGKILL
        left[when] = [(output / name).is_file() for name in (MANIFEST, CALIBRATION, FIGURES)]
        if when == "training":
            assert last_resumable(output / "training") is not None
            with pytest.raises(FileNotFoundError, match="expected a model folder"):
                ModelFolder.open(output)
    assert left == {
        "training": [False, False, False],
        "calibrating": [True, False, False],
        "evaluating": [True, True, False],
    }
    train(
        cohort_folders / "normal",
        output,
        abnormal=cohort_folders / "abnormal",
        masks=cohort_folders / "masks",
        images=BUDGET,
    )
    files = ModelFolder.open(output).files, ModelFolder.open(trained_folder).files
    differing = {name for name in files[0].keys() | files[1].keys() if files[0].get(name) != files[1].get(name)}
    assert differing <= {"models/training.json", "docs/README.md"}  # which say how long it took, and on what


def test_the_same_command_on_a_complete_model_does_nothing_again(
    trained_folder: Path, cohort_folders: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Bundle, "run", lambda *_, **__: pytest.fail("something was run"))
    before = (trained_folder / MANIFEST).read_bytes()
    train(
        cohort_folders / "normal",
        trained_folder,
        abnormal=cohort_folders / "abnormal",
        masks=cohort_folders / "masks",
        images=BUDGET,
    )
    assert (trained_folder / MANIFEST).read_bytes() == before


def test_an_output_of_other_scans_or_wishes_is_refused_by_name(
    trained_folder: Path, cohort_folders: Path, model_folder: Path, tmp_path: Path
) -> None:
    with pytest.raises(ValueError, match=r"model: expected a new folder, or the training .*images: 100 then,"):
        Training(Data(cohort_folders / "normal"), trained_folder, Wishes(images=7))
    with pytest.raises(ValueError, match="expected an output without a model, got one that holds a complete model"):
        begin(cohort_folders, model_folder)
    (tmp_path / "notes.txt").write_text("mine")
    with pytest.raises(ValueError, match=r"expected an empty folder or an unfinished training, got .*notes\.txt"):
        begin(cohort_folders, tmp_path)


def test_a_plan_is_followed_and_its_unknown_keys_are_refused(cohort_folders: Path, tmp_path: Path) -> None:
    planned = begin(cohort_folders, tmp_path / "first").plan()
    own = tmp_path / "own.yaml"
    own.write_text(planned.text().replace("epochs: 3", "epochs: 1"))
    followed = Training(Data(cohort_folders / "normal"), tmp_path / "second", Wishes(), plan=own)
    (run_id, bundle), (calibrating, _) = followed.steps(followed.plan())
    assert (run_id, calibrating) == ("training", "calibrating")
    assert bundle.part("max_epochs") == 1
    assert Plan.read(tmp_path / "second" / PLAN).epochs == 1
    for line, expected in (("epoch: 3", "epoch"), ("epochs: many", "epochs"), ("axis: 2\naxis: 1", "axis")):
        own.write_text(planned.text() + f"\n{line}\n")
        with pytest.raises(ValueError, match=rf"own\.yaml: .*{expected}"):
            Training(Data(cohort_folders / "normal"), tmp_path / "third", Wishes(), plan=own)
    assert not (tmp_path / "third").exists()


def test_a_finished_model_goes_on_with_the_score_it_was_finished_with(cohort_folders: Path, tmp_path: Path) -> None:
    """The preset's may be another one since."""
    training = begin(cohort_folders, tmp_path / "model")
    plan = training.plan()
    configuration = tmp_path / "model" / "configs" / "training.yaml"
    configuration.parent.mkdir()
    configuration.write_text("model: {dim: 8, score_layers: null, score_over_pixels: top, score_share: 0.2}\n")
    (tmp_path / "model" / MANIFEST).write_text("{}")
    ((run_id, bundle),) = training.steps(plan)
    changes = bundle.plain("changes")
    assert run_id == "calibrating"
    assert (changes["score_layers"], changes["score_over_pixels"], changes["score_share"]) == (None, "top", 0.2)
    assert "dim" not in changes


def test_weights_beside_a_plan_count_in_the_place_of_its_own(cohort_folders: Path, tmp_path: Path) -> None:
    """A plan that is handed on names a folder that is not there."""
    planned, own = tmp_path / "plan.yaml", tmp_path / "own.yaml"
    planned.write_text(text := begin(cohort_folders, tmp_path / "first").plan().text())
    for key, value in {
        "preset": "dinov2_small",
        "encoder": "vit_small_patch14_dinov2.lvd142m",
        "image_size": "224",
        "weights": "models/none",
    }.items():
        text = re.sub(rf"^{key}: .*", f"{key}: {value}", text, flags=re.MULTILINE)
    own.write_text(text)
    here, other = tmp_path / "here", tmp_path / "other"
    data, said = Data(cohort_folders / "normal"), list[str]()
    training = Training(data, tmp_path / "second", Wishes(weights=(here,)), plan=own, say=said.append)
    (_, bundle), _ = training.steps(training.plan())
    assert bundle.plain("weights_dir") == str(here)
    assert f"weights {here}: given in the place of the plan's models/none" in said
    with pytest.raises(ValueError, match=r"--weights: expected one folder beside a plan, got .*here, .*other"):
        Training(data, tmp_path / "third", Wishes(weights=(here, other)), plan=own)
    with pytest.raises(ValueError, match=r"--weights .*here: expected none beside a plan without weights .*plan\.yaml"):
        Training(data, tmp_path / "third", Wishes(weights=(here,)), plan=planned)


def test_kept_views_of_a_plan_are_trained_from_and_removed(cohort_folders: Path, tmp_path: Path) -> None:
    own = tmp_path / "own.yaml"
    text = begin(cohort_folders, tmp_path / "first").plan().text()
    own.write_text(text.replace("epochs: 3", "epochs: 1").replace("views: null", "views: 2"))
    train(cohort_folders / "normal", tmp_path / "second", plan=own)
    assert json.loads((tmp_path / "second" / "models" / "training.json").read_text())["views"] == 2
    assert not (tmp_path / "second" / "training" / "views").exists()


def test_too_few_patients_are_said_or_refused(tmp_path: Path) -> None:
    volume(tmp_path / "one" / "a.nii.gz", 0)
    training = Training(Data(tmp_path / "one"), tmp_path / "model", Wishes())
    with pytest.raises(ValueError, match=r"expected scans of at least 2 normal patients, .* got 1 in 1 scan"):
        training.run()
    assert not (tmp_path / "model").exists()
    for number in range(6):
        volume(tmp_path / "six" / f"{number}.nii.gz", number)
    said: list[str] = []
    Training(Data(tmp_path / "six"), tmp_path / "model", Wishes(), say=said.append).plan()
    assert any("thresholds at 5 % need 19 held-out normal patients, there are 3" in line for line in said)


def test_masks_that_fit_no_scan_are_refused(tmp_path: Path) -> None:
    for number in range(4):
        volume(tmp_path / "normal" / f"{number}.nii.gz", number)
    volume(tmp_path / "abnormal" / "x.nii.gz", 9)
    mask(tmp_path / "masks" / "y.nii.gz", lesion=True)
    data = Data(tmp_path / "normal", tmp_path / "abnormal", tmp_path / "masks")
    with pytest.raises(ValueError, match=r"expected masks named like the scans, got 1 of 1 that fit none: y\.nii\.gz"):
        Training(data, tmp_path / "model", Wishes()).run()
    (tmp_path / "masks" / "y.nii.gz").unlink()
    mask(tmp_path / "masks" / "x.nii.gz", lesion=True, shape=(3, 3, 3))
    with pytest.raises(ValueError, match=r"x\.nii\.gz"):
        Training(data, tmp_path / "model", Wishes()).run()
    assert not (tmp_path / "model").exists()


def test_the_latest_checkpoint_is_gone_on_from(tmp_path: Path) -> None:
    assert last_resumable(tmp_path) is None
    for name in ("9", "10", "x", "10.part"):
        (tmp_path / f"resume_checkpoint_epoch={name}.pt").touch()
    found = last_resumable(tmp_path)
    assert found is not None
    assert found.name == "resume_checkpoint_epoch=10.pt"
