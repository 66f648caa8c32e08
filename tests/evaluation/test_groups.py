from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from qfae_monai.evaluation.case_columns import Table
from qfae_monai.evaluation.differences import independent_difference
from qfae_monai.evaluation.evaluation_report import summarise
from qfae_monai.evaluation.group_differences import differences, holm
from qfae_monai.evaluation.groups import MOST, NONE, grouped
from qfae_monai.evaluation.levels import Level, levels_of
from qfae_monai.evaluation.merging import merge_runs
from qfae_monai.evaluation.page import write_report
from qfae_monai.evaluation.ranking import auroc
from qfae_monai.evaluation.run_folder import RunFolder
from tests.evaluation.run_folder_factory import make_run_folder
from tests.evaluation.test_page import HOSTILE, parsed, text

FOUR_EACH = ["A"] * 4 + ["B"] * 4  # neighbours share a patient


def summary(folder: Path) -> dict[str, Any]:
    summarise(folder)
    return json.loads((folder / "evaluation.json").read_text())


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        (["GE", "ge", "GE ", "G_E"], {"GE": 3, "G_E": 1}),
        (["low grade", "Low_Grade", "LOW  GRADE"], {"LOW  GRADE": 3}),
        (["", " ", "_"], {NONE: 3}),
        (["10", "9", "1"], {"1": 1, "9": 1, "10": 1}),
        (["-1", "1"], {"-1": 1, "1": 1}),
        (["T1-Gd", "T1 Gd"], {"T1 Gd": 1, "T1-Gd": 1}),
        (["\N{FULLWIDTH LATIN CAPITAL LETTER G}E", "GE"], {"GE": 2}),
    ],
)
def test_values_are_told_apart_by_what_they_say(values: list[str], expected: dict[str, int]) -> None:
    found = grouped({str(number): value for number, value in enumerate(values)})
    assert {one.name: len(one.cases) for one in found} == expected


def test_a_class_is_held_against_all_normal_cases(tmp_path: Path) -> None:
    folder = make_run_folder(tmp_path / "run", cases=16, classes=["x", "y", ""])
    found = {one["name"]: one for one in summary(folder)["classes"]}
    assert list(found) == ["x", "y", NONE]
    volumes = RunFolder(folder).volumes
    place = {case: number for number, case in enumerate(volumes["case"].tolist())}
    own = [place[case] for case, value in RunFolder(folder).truth.classes.items() if value == "x"]
    normal = np.flatnonzero(volumes["label"] == 0)
    rows = np.array([*own, *normal])
    expected = auroc(volumes["score"][rows], volumes["label"][rows])
    assert found["x"]["metrics"]["volume"]["auroc"]["value"] == expected
    assert (found["x"]["cases"], found["x"]["abnormal_patients"], found["x"]["normal_patients"]) == (3, 3, 8)
    above = volumes["score"][own] > 2.6
    at_threshold = found["x"]["threshold"]["volume"]
    assert (at_threshold["abnormal"], at_threshold["sensitivity"]["value"]) == (3, above.mean())
    assert "3 patients" in at_threshold["sensitivity"]["reason"]
    assert found["x"]["lesions"] == int(volumes["lesions"][own].sum())


def test_a_stratum_has_figures_of_its_own_cases(tmp_path: Path) -> None:
    folder = make_run_folder(tmp_path / "run", cases=32, strata={"scanner": FOUR_EACH})
    found = summary(folder)["strata"]["scanner"]
    one, other = found["groups"]
    level = levels_of(RunFolder(folder), 0.95)[1]
    truth = RunFolder(folder).truth.strata["scanner"]
    part = level.where(np.array([truth[case] == "A" for case in level.rows["case"].tolist()]))
    assert one["metrics"]["volume"]["auroc"]["value"] == part.measures["auroc"]
    assert one["cases"] + other["cases"] == 32
    assert [(row["level"], row["first"], row["second"]) for row in found["differences"]] == [
        ("slice", "A", "B"),
        ("volume", "A", "B"),
    ]
    assert all(row["p"] <= row["p_holm"] <= 1 for row in found["differences"])


def test_many_groups_are_compared_with_all_others(tmp_path: Path) -> None:
    folder = make_run_folder(
        tmp_path / "run", cases=40, strata={"centre": [name for name in "ABCDE" for _ in range(4)]}
    )
    found = summary(folder)["strata"]["centre"]["differences"]
    assert {row["second"] for row in found} == {"all others"}
    assert len(found) == 10


def test_groups_of_one_patient_and_columns_of_numbers_are_counted(tmp_path: Path) -> None:
    cases = MOST + 2
    folder = make_run_folder(
        tmp_path / "run",
        cases=cases,
        strata={"age": [str(age) for age in range(cases)], "sex": ["F", *["M"] * (cases - 1)]},
    )
    found = summary(folder)
    assert found["strata"]["sex"]["groups"][0]["metrics"] == {}
    assert [one["cases"] for one in found["strata"]["age"]["groups"]] == [1] * cases
    assert f"age has {cases} groups" in "\n".join(found["warnings"])
    assert "one patient is no group (F)" in "\n".join(found["warnings"])


def test_holm_is_the_published_procedure() -> None:
    """Holm 1979, Scand J Statist 6:65: the smallest of m times m, the next times m - 1, never below one before."""
    assert holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])
    assert holm([0.9, 0.8]) == [1, 1]
    assert holm([]) == []


def test_equal_groups_do_not_differ_and_others_do() -> None:
    def level(signal: float) -> Level:
        rng = np.random.default_rng(1)
        labels = np.repeat([0.0, 1.0], 20)
        patients = np.array([f"{signal}-{number}" for number in range(40)])
        columns = {
            "score": rng.standard_normal(40) + signal * labels,
            "label": labels,
            "patient": patients,
            "case": patients,
        }
        return Level("volume", Table(columns), 0.95)

    same = independent_difference(level(1.0).estimates["auroc"], level(1.0).estimates["auroc"])
    assert same.value == 0
    assert same.p > 0.5
    other = independent_difference(level(0.1).estimates["auroc"], level(4.0).estimates["auroc"])
    assert other.p < 0.1
    assert other.low > 0
    found = differences({"volume": {"a": level(4.0), "b": level(0.1), "c": level(1.0)}})
    assert [row["p_holm"] for row in found] == pytest.approx(holm([row["p"] for row in found]))


def test_runs_of_earlier_versions_are_read_and_merge(tmp_path: Path) -> None:
    first = make_run_folder(tmp_path / "a", cases=8)
    second = make_run_folder(tmp_path / "b", cases=8, first=8, classes=["x"], strata={"sex": ["F", "M"]})
    assert summary(first)["classes"] == []
    merged = merge_runs([first, second], tmp_path / "ab", name="both")
    found = summary(merged)
    assert {one["name"]: one["cases"] for one in found["classes"]} == {"x": 4, NONE: 4}
    assert {one["name"]: one["cases"] for one in found["strata"]["sex"]["groups"]} == {"F": 4, "M": 4, NONE: 8}


def test_a_truth_of_other_cases_is_refused(tmp_path: Path) -> None:
    folder = make_run_folder(tmp_path / "run", cases=8, classes=["x"])
    with (folder / "truth.csv").open("a") as file:
        file.write("other,p,x,\n")
    with pytest.raises(ValueError, match=r"truth.csv: expected cases of volumes.csv, got also other"):
        summarise(folder)


@pytest.mark.parametrize("kind", ["volume", "image"])
def test_names_of_groups_are_text_on_the_page(tmp_path: Path, kind: Any) -> None:
    folder = make_run_folder(
        tmp_path / "run",
        kind=kind,
        cases=16,
        classes=[HOSTILE, "y"],
        strata={HOSTILE: ["<b>A", "<b>A", "<b>A", "<b>A", "B"]},
    )
    tags = parsed(folder)
    assert "groups" in [attributes.get("id") for _, attributes in tags.tags]
    assert not any(tag in ("b<", "script src") or "onerror" in attributes for tag, attributes in tags.tags)
    assert f"By {HOSTILE}" in text(tags)


def test_a_page_of_an_earlier_evaluation_is_drawn(tmp_path: Path) -> None:
    folder = make_run_folder(tmp_path / "run", cases=8)
    content = summary(folder)
    del content["classes"], content["strata"]
    (folder / "evaluation.json").write_text(json.dumps(content))
    assert 'id="groups"' not in write_report(folder).read_text()
    assert not math.isnan(content["metrics"]["volume"]["auroc"]["value"])
