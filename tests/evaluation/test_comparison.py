"""Two runs side by side: differences are those of the figures, pairs are kept, and other cases are refused."""

from __future__ import annotations

from pathlib import Path

import pytest

from qfae_monai.evaluation.comparison import compare, format_comparison
from qfae_monai.evaluation.evaluation_report import summarise
from tests.evaluation.run_folder_factory import make_run_folder

FEW_NORMALS = (
    "No interval for volume sensitivity at 95 % specificity: 6 normal volumes: no method holds for a threshold so high "
    "among so few."
)


def test_differences_are_those_of_the_figures(tmp_path: Path) -> None:
    weak = make_run_folder(tmp_path / "weak", signal=0.8)
    strong = make_run_folder(tmp_path / "strong", signal=2.0, model=1)
    found = compare(weak, strong)
    alone = [summarise(folder)["metrics"] for folder in (weak, strong)]
    assert set(found["metrics"]) == {"slice", "volume", "pixel"}
    for level, measures in found["metrics"].items():
        for name, row in measures.items():
            assert [row["a"], row["b"]] == pytest.approx([run[level][name]["value"] for run in alone], abs=1e-12)
            assert row["difference"]["value"] == pytest.approx(row["b"] - row["a"], abs=1e-12)
    best = found["metrics"]["pixel"]["average_precision"]["difference"]
    assert best["low"] > 0
    assert best["p"] < 0.05
    assert found["notes"] == [FEW_NORMALS]
    swapped = compare(strong, weak)["metrics"]["pixel"]["average_precision"]["difference"]
    assert [swapped["low"], swapped["high"]] == pytest.approx([-best["high"], -best["low"]])


def test_a_run_against_itself_does_not_differ(tmp_path: Path) -> None:
    run = make_run_folder(tmp_path / "run", kind="image")
    found = compare(run, run)
    differences = [row["difference"] for measures in found["metrics"].values() for row in measures.values()]
    assert {(row["value"], row["p"]) for row in differences} == {(0, 1)}
    assert {(row["low"], row["high"]) for row in differences if not row["reason"]} == {(0, 0)}
    assert [bool(row["reason"]) for row in differences] == [False, False, True, False, False, False]
    text = format_comparison(found)
    assert "image sensitivity at 95 specificity" in text
    assert "12 cases of 9 patients" in text


def test_undefined_is_a_dash(tmp_path: Path) -> None:
    run = make_run_folder(tmp_path / "run", abnormal=0, masks=False)
    assert "slice auroc                                -       -        -   - to -" in format_comparison(
        compare(run, run)
    )


def test_slices_of_one_run_only_are_counted_and_left_out(tmp_path: Path) -> None:
    run, other = (make_run_folder(tmp_path / name) for name in ("run", "other"))
    lines = (other / "slices.csv").read_text().splitlines()
    (other / "slices.csv").write_text("\n".join(lines[:-3]) + "\n")
    found = compare(run, other)
    assert found["notes"] == ["Scored by one run only and left out: 3 slices of a, 0 of b.", FEW_NORMALS]
    assert found["metrics"]["slice"]["auroc"]["difference"]["value"] == 0


def test_other_cases_patients_labels_or_kinds_are_refused(tmp_path: Path) -> None:
    run = make_run_folder(tmp_path / "run")
    with pytest.raises(ValueError, match=r"2 of .*more are missing in .*run: case012, case013"):
        compare(run, make_run_folder(tmp_path / "more", cases=14))
    with pytest.raises(ValueError, match=r"same label of each case .* 1 differ: case011"):
        compare(run, make_run_folder(tmp_path / "unlabelled", unlabelled=1))
    with pytest.raises(ValueError, match=r"got volumes in .* and images in"):
        compare(run, make_run_folder(tmp_path / "images", kind="image"))
    other = make_run_folder(tmp_path / "other")
    for name in ("volumes.csv", "slices.csv", "lesions.csv"):
        (other / name).write_text((other / name).read_text().replace("case003,patient003", "case003,patient002"))
    with pytest.raises(ValueError, match=r"same patient of each case .* 1 differ: case003"):
        compare(run, other)
