"""`qfae encoders compare` on phantoms: two folds, resumed, refused; one table, page and CSV."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from qfae_monai.cli import app
from qfae_monai.data.phantoms import write_phantom_cohort
from qfae_monai.model.bundle import Bundle
from tests.experiments.own_weights import write_own

NAMES = ["random+random", "dino+mae"]


@pytest.fixture(scope="module")
def folds(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """Two small cohorts whose cases have different names, and weights of one's own for each."""
    root = tmp_path_factory.mktemp("folds")
    for number in range(2):
        folder = root / f"fold-{number}"
        datalist = write_phantom_cohort(folder, train=2, validation=1, test_normal=1, test_abnormal=1, seed=number)
        content = json.loads(datalist.read_text())
        for entry in content["test"]:
            entry["case"] += f"-{number}"
        datalist.write_text(json.dumps(content))
        write_own(root / "weights" / f"fold-{number}" / "dino.safetensors", seed=1 + number)
    write_own(root / "weights" / "mae.safetensors", seed=9)
    return [root / "fold-0", root / "fold-1"]


def arguments(folds: list[Path], output: Path, *more: str) -> list[str]:
    weights = folds[0].parent / "weights"
    return [
        "encoders",
        "compare",
        "--output",
        str(output),
        "--config",
        "datasets/phantoms",
        *(part for fold in folds for part in ("--data", str(fold))),
        "--encoder",
        f"dino={weights}/{{fold}}/dino.safetensors",
        "--perceptual",
        f"mae={weights}/mae.safetensors",
        "--epochs",
        "1",
        "--set",
        "slice_range=[8, 16]",
        *more,
    ]


@pytest.fixture(scope="module")
def compared(folds: list[Path], tmp_path_factory: pytest.TempPathFactory) -> Path:
    output = tmp_path_factory.mktemp("compared")
    only = [part for name in NAMES for part in ("--only", name)]
    result = CliRunner().invoke(app, arguments(folds, output, *only))
    assert result.exit_code == 0, result.output
    assert "| dino+mae |" in result.output
    return output


def test_networks_that_are_left_out_are_named(
    folds: list[Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("qfae_monai.experiments.encoder_comparison.compare_encoders", stop)
    result = CliRunner().invoke(app, arguments(folds, tmp_path / "out", "--only", "dino+random"))
    assert "left out by --only: --perceptual mae" in result.output
    assert "--encoder" not in result.output


def stop(*_: object, **__: object) -> None:
    raise KeyboardInterrupt


def test_one_table_holds_all_patients_of_all_folds(compared: Path) -> None:
    table = json.loads((compared / "encoders.json").read_text())
    assert [row["name"] for row in table["rows"]] == NAMES
    assert [row["in_house"] for row in table["rows"]] == [False, True]
    assert table["counts"]["patients"] == 4
    assert {lead["best"] for lead in table["leads"]} == {"dino+mae"}
    rows = list(csv.DictReader((compared / "encoders.csv").open()))
    for row, found in zip(rows, table["rows"], strict=True):
        assert float(row["slice_auroc"]) == found["slice_auroc"]["value"]
        assert float(row["neighbours_pixel_ap"]) == found["neighbours"]["pixel_ap"]["value"]
    assert table["rows"][0]["neighbours"] != table["rows"][1]["neighbours"]
    page = (compared / "encoders.html").read_text()
    assert 'href="runs/dino+mae/fold-1/seed-42/evaluation/report.html"' in page
    assert (compared / "runs" / "dino+mae" / "fold-1" / "seed-42" / "evaluation" / "report.html").is_file()


def test_each_fold_has_its_own_weights(compared: Path, folds: list[Path]) -> None:
    for fold in folds:
        overlay = json.loads((compared / "runs" / "dino+mae" / fold.name / "overlay.json").read_text())
        assert Path(overlay["changes::encoder"]["weights"]).parent.name == fold.name


def test_what_is_complete_is_kept_and_options_are_added(
    folds: list[Path], compared: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ran: list[tuple[str, list[str]]] = []
    run = Bundle.run

    def count(bundle: Bundle, run_id: str) -> None:
        ran.append((run_id, [file.stem for file in bundle.files]))
        run(bundle, run_id, quiet=True)

    monkeypatch.setattr(Bundle, "run", count)
    only = [part for name in (*NAMES, "dino+mae+corruption") for part in ("--only", name)]
    more = ["--robust", "corruption", "--with", "corruption:corruption_std=0.3"]
    result = CliRunner().invoke(app, arguments(folds, compared, *more, *only))
    assert result.exit_code == 0, result.output
    assert [run_id for run_id, _ in ran] == ["training", "evaluating"] * 2  # of the new combination alone
    assert all("robust-corruption" in names for _, names in ran)
    overlay = json.loads((compared / "runs" / "dino+mae+corruption" / "fold-0" / "overlay.json").read_text())
    assert overlay["corruption_std"] == 0.3
    assert len(json.loads((compared / "encoders.json").read_text())["rows"]) == 3


# [more arguments, message]
BAD = [
    (["--epochs", "2"], "max_epochs: started with 1, now 2"),
    (["--encoder", "ibot=missing.safetensors"], "no such file: missing.safetensors"),
    (["--encoder", "dino=twice.safetensors"], "--encoder: expected each name once"),
    (["--only", "dino+clip"], "--only: expected one of"),
    (
        ["--robust", "corruption", "--only", "dino+mae"],
        "--robust corruption: expected it in a combination of --only, got dino+mae",
    ),
    (["--robust", "prayer"], "robust-prayer"),
    (["--config", "datasets/none"], "none.yaml: expected a configuration of ["),
    (["--with", "dino"], "--with: expected NAME:KEY=VALUE"),
    (["--with", "dinno:max_angle=3"], "--with: expected one of random, mae, dino, got dinno"),
    (
        ["--with", "dino:max_angel=3"],
        "--with: expected a key of the configuration, got 'max_angel'; there is 'max_angle'",
    ),
    (["--set", "max_angel=3"], "--set: expected a key of the configuration, got 'max_angel'; there is 'max_angle'"),
    (["--data", "nowhere"], "no such folder: nowhere"),
    (["--seeds", "1,1"], "expected different seeds"),
]


@pytest.mark.parametrize(("more", "message"), BAD)
def test_bad_input_is_refused_before_anything_is_trained(
    more: list[str], message: str, folds: list[Path], compared: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Bundle, "run", lambda *_: pytest.fail("something was run"))
    result = CliRunner().invoke(app, arguments(folds, compared, *more))
    assert isinstance(result.exception, (ValueError, OSError)), result.output
    assert message in str(result.exception)


def test_card_without_architecture_is_refused(folds: list[Path], tmp_path: Path) -> None:
    path = write_own(tmp_path / "bare.safetensors", seed=1)
    path.with_suffix(".json").write_text("{}")
    result = CliRunner().invoke(app, arguments(folds, tmp_path / "out", "--encoder", f"bare={path}"))
    assert isinstance(result.exception, ValueError)
    assert "bare.json: expected a model card" in str(result.exception)
