"""Each table has the figures of `evaluation.json`, to the last digit, and the files of the run folder are theirs."""

from __future__ import annotations

import csv
import json
from pathlib import Path
from typing import Any, Literal

import pytest

from qfae_monai.evaluation.evaluation_report import summarise
from tests.evaluation.run_folder_factory import make_run_folder

CLASS = "50 % of a_b & c#{x}"
KEYS = ("value", "low", "high", "smaller_class", "reason")


def rows(folder: Path, name: str) -> list[dict[str, str]]:
    with (folder / "tables" / f"{name}.csv").open(newline="", encoding="utf-8") as stream:
        return list(csv.DictReader(stream))


def cells(interval: dict[str, Any]) -> list[str]:
    return ["" if interval[key] is None else str(interval[key]) for key in KEYS]


def measured(row: dict[str, str]) -> list[str]:
    return [row[name] for name in ("value", "low", "high", "n", "reason")]


@pytest.fixture(scope="module", params=["volume", "image"])
def run(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Any]:
    kind: Literal["volume", "image"] = request.param
    folder = tmp_path_factory.mktemp("runs") / kind
    make_run_folder(folder, kind=kind, classes=(CLASS, "=y"), strata={"sex": ("f", "m", "f")})
    summarise(folder, match_tolerance=0.1)
    return folder, json.loads((folder / "evaluation.json").read_text())


def test_results(run: tuple[Path, Any]) -> None:
    folder, summary = run
    levels = dict(summary["metrics"]) | ({"matched": summary["matched"]["slice"]} if summary["matched"] else {})
    expected = [cells(value) for values in levels.values() for value in values.values()]
    assert [measured(row) for row in rows(folder, "results")] == expected


def test_thresholds_and_lesions(run: tuple[Path, Any]) -> None:
    folder, summary = run
    threshold = summary["threshold"]
    for row in rows(folder, "thresholds"):
        known = threshold[row["level"]]
        assert float(row["threshold"]) == known["threshold"]
        assert float(row["FPR"]) == known["achieved_fpr"]
        assert row["level"] == "pixel" or float(row["sensitivity"]) == known["sensitivity"]
    pixel = threshold["pixel"]
    expected = [cells(value) for figures in pixel["detection"].values() for value in figures.values()]
    assert [measured(row) for row in rows(folder, "lesions")] == expected
    assert measured(rows(folder, "pixels")[0]) == cells(pixel["dice"])
    found = [*summary["froc"]["sensitivity"], summary["froc"]["score"]]
    assert [measured(row) for row in rows(folder, "froc")] == [cells(value) for value in found]
    best = [float(row["best"]) for row in rows(folder, "chosen_on_test_set")]
    assert best == [one["value"] for one in summary["chosen_on_test_set"].values()]


def test_sizes(run: tuple[Path, Any]) -> None:
    folder, summary = run
    found = [(row["lesions"], measured(row)) for row in rows(folder, "lesion_sizes")]
    assert found == [(str(band["lesions"]), cells(band["sensitivity"])) for band in summary["size_bands"]]


def test_classes_strata_and_differences(run: tuple[Path, Any]) -> None:
    folder, summary = run
    for group in summary["classes"]:
        name = f"'{group['name']}" if group["name"].startswith("=") else group["name"]  # no formula
        own = [row for row in rows(folder, "classes") if row["class"] == name]
        expected = [cells(value) for values in group["metrics"].values() for value in values.values()]
        expected += [cells(row["sensitivity"]) for row in group["threshold"].values()]
        assert [measured(row) for row in own] == expected != []
        assert {row["abnormal patients"] for row in own} == {str(group["abnormal_patients"])}
    for group in summary["strata"]["sex"]["groups"]:
        own = [row for row in rows(folder, "strata") if (row["column"], row["group"]) == ("sex", group["name"])]
        assert len(own) == sum(map(len, group["metrics"].values())) + len(group["threshold"])
    text = (folder / "tables" / "classes.tex").read_text()
    assert r"50 \% of a\_b \& c\#\{x\} & " in text
    differences = summary["strata"]["sex"]["differences"]
    if differences:
        assert [measured(row) for row in rows(folder, "differences")] == [cells(row) for row in differences]
    assert (folder / "tables" / "differences.csv").is_file() == bool(differences)


def test_shortcuts_and_maps(run: tuple[Path, Any]) -> None:
    folder, summary = run
    found = rows(folder, "shortcuts")
    assert [measured(row) for row in found] == [cells(row["interval"]) for row in summary["shortcuts"]]
    assert [float(row["lead"]) for row in found] == [row["difference"]["value"] for row in summary["shortcuts"]]
    maps = {row["map"]: row for row in rows(folder, "maps")}
    assert float(maps["plain intensity"]["average precision"]) == summary["maps"]["image"]["average_precision"]


def test_captions_say_what_interval_and_n_are(run: tuple[Path, Any]) -> None:
    folder, _ = run
    for name in ("results", "thresholds", "lesions", "lesion_sizes", "classes", "shortcuts"):
        text = (folder / "tables" / f"{name}.tex").read_text()
        assert r"95 \% intervals are over patients; n: patients in the smaller class" in text
        assert text.count(r"\toprule") == text.count(r"\bottomrule") == 1


def test_tables_of_an_earlier_run_in_the_folder_go(tmp_path: Path) -> None:
    folder = make_run_folder(tmp_path / "run", cases=6, classes=("x",))
    summarise(folder)
    assert (folder / "tables" / "classes.tex").is_file()
    (folder / "truth.csv").unlink()
    make_run_folder(folder, cases=6, masks=False, calibrated=False)
    summarise(folder)
    left = sorted(file.name for file in (folder / "tables").iterdir())
    assert left == ["results.csv", "results.tex", "shortcuts.csv", "shortcuts.tex"]
    assert [float(row["value"]) for row in rows(folder, "results")[:1]] == [
        json.loads((folder / "evaluation.json").read_text())["metrics"]["slice"]["auroc"]["value"]
    ]
