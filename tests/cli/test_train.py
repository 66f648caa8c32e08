"""`qfae train` as a user types it: plans, command lines, and one sentence for what is wrong."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest
import yaml

from qfae_monai.model.training import Training
from tests.cli.test_exit_codes import code_of
from tests.conftest import BUDGET
from tests.model.made_up import volume


@pytest.fixture
def normals(tmp_path: Path) -> Path:
    for number in range(4):
        volume(tmp_path / "normals" / f"{number}.nii.gz", number)
    return tmp_path / "normals"


def test_a_plan_is_written_shown_and_taken_back(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], normals: Path, tmp_path: Path
) -> None:
    assert code_of(monkeypatch, "train", normals, "-o", tmp_path / "model", "--plan-only", "--images", 8) == 0
    said = capsys.readouterr().out
    assert "training: 2 volumes of 2 patients" in said
    assert "epochs 1: a budget of 8 images, by 8 per epoch" in said
    plan = tmp_path / "model" / "training" / "plan.yaml"
    assert str(plan) in said
    own = tmp_path / "own.yaml"
    own.write_text(plan.read_text().replace("seed: 42", "seed: 7"))
    shown = ["train", normals, "-o", tmp_path / "other", "--plan", own, "--show-command"]
    assert code_of(monkeypatch, *shown) == 0
    said = capsys.readouterr().out
    assert "python -m monai.bundle run training --config_file " in said
    assert "python -m monai.bundle run calibrating --config_file " in said
    assert "--seed 7" in said
    assert not (tmp_path / "other" / "models").exists()


def test_what_a_plan_answers_is_not_asked_for_beside_it(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], normals: Path, tmp_path: Path
) -> None:
    assert code_of(monkeypatch, "train", normals, "-o", tmp_path / "model", "--plan-only", "--images", 8) == 0
    plan = ("--plan", tmp_path / "model" / "training" / "plan.yaml", "--plan-only")
    capsys.readouterr()
    for option, value, key in (("images", 8, "epochs 1"), ("seed", 42, "seed 42"), ("held-out", 0.5, "held_out 0.2")):
        assert code_of(monkeypatch, "train", normals, "-o", tmp_path / "other", *plan, f"--{option}", value) == 1
        error = capsys.readouterr().err
        assert f"error: --{option}: expected none beside a plan, whose {key} counts; change it there" in error
        assert not (tmp_path / "other").exists()


def test_weights_are_looked_for_where_the_environment_says(
    monkeypatch: pytest.MonkeyPatch, normals: Path, tmp_path: Path
) -> None:
    seen: list[Any] = []

    def run(training: Training) -> Path:
        seen.append(training.wishes)
        return training.output

    monkeypatch.setattr(Training, "run", run)
    monkeypatch.setenv("QFAE_WEIGHTS", str(tmp_path / "own"))
    assert code_of(monkeypatch, "train", normals, "-o", tmp_path / "model", "--images", BUDGET) == 0
    assert seen[0].weights == (tmp_path / "own",)
    assert code_of(monkeypatch, "train", normals, "-o", tmp_path / "model", "--weights", normals) == 0
    assert seen[1].weights == (normals,)


def test_a_plan_says_itself_where_its_weights_are(
    monkeypatch: pytest.MonkeyPatch, normals: Path, tmp_path: Path
) -> None:
    assert code_of(monkeypatch, "train", normals, "-o", tmp_path / "model", "--plan-only", "--images", 8) == 0
    plan = tmp_path / "model" / "training" / "plan.yaml"
    monkeypatch.setenv("QFAE_WEIGHTS", os.pathsep.join(map(str, (tmp_path / "one", tmp_path / "two"))))
    assert code_of(monkeypatch, "train", normals, "-o", tmp_path / "second", "--plan", plan, "--plan-only") == 0
    assert "weights: null" in (tmp_path / "second" / "training" / "plan.yaml").read_text()
    refused = ("--plan", plan, "--weights", normals, "--plan-only")
    assert code_of(monkeypatch, "train", normals, "-o", tmp_path / "third", *refused) == 1


def test_an_interruption_says_how_to_go_on(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], normals: Path, tmp_path: Path
) -> None:
    def interrupted(self: Training) -> Path:
        raise KeyboardInterrupt

    monkeypatch.setattr(Training, "run", interrupted)
    assert code_of(monkeypatch, "train", normals, "-o", tmp_path / "model") == 130
    assert "interrupted: the same command goes on in" in capsys.readouterr().err


def test_bad_input_is_one_line(
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    normals: Path,
    model_folder: Path,
    tmp_path: Path,
) -> None:
    volume(tmp_path / "one" / "a.nii.gz", 0)
    (tmp_path / "empty").mkdir()
    plan = tmp_path / "plan.yaml"
    plan.write_text(yaml.safe_dump({"epoch": 3}))
    out = tmp_path / "model"
    cases: list[tuple[list[Any], str]] = [
        ([tmp_path / "none", "-o", out], "none"),
        ([tmp_path / "empty", "-o", out], "empty"),
        ([tmp_path / "one", "-o", out], "expected scans of at least 2 normal patients"),
        ([normals, "-o", model_folder], "got one that holds a complete model"),
        ([normals, "-o", normals], "expected an empty folder or an unfinished training"),
        ([normals, "-o", out, "--plan", plan], "plan.yaml"),
        ([normals, "-o", out, "--plan", tmp_path / "no.yaml"], "no.yaml"),
        ([normals, "-o", out, "--weights", tmp_path / "no"], "--weights"),
        ([normals, "-o", out, "--abnormal", tmp_path / "no"], "--abnormal"),
        ([normals, "-o", out, "--masks", tmp_path / "empty"], "empty"),
        ([normals, "-o", out, "--patient", "("], "--patient"),
        ([normals, "-o", out, "--image", "*FLAIR*"], "FLAIR"),
    ]
    for arguments, message in cases:
        assert code_of(monkeypatch, "train", *arguments, "--plan-only") == 1, arguments
        error = capsys.readouterr().err
        assert error.startswith("error: "), error
        assert error.count("\n") == 1, error
        assert message in error
        assert not out.exists(), arguments
