"""The answers follow from the run: another run, another answer, and nothing is claimed that was not checked."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from qfae_monai.evaluation.evaluation_report import summarise
from qfae_monai.evaluation.merging import merge_runs
from qfae_monai.evaluation.page import write_report
from qfae_monai.evaluation.paper import STATES, checklist
from qfae_monai.evaluation.run_folder import RunFolder
from tests.evaluation.run_folder_factory import make_run_folder, training_record

SPLIT, COPIES = "disjoint by patient", "copies of training scans"
COMPARED = {"warnings": [], "pairs": [], "sections": {"training": 30, "test": 12}, "shared_patients": 0}


def lines(folder: Path, **changed: Any) -> list[dict[str, str]]:
    """The checklist of a run whose record says something else."""
    record = json.loads((folder / "run.json").read_text())
    (folder / "run.json").write_text(json.dumps(record | changed))
    if (changed.get("duplicates") or {"pairs": []})["pairs"]:  # which change figures, too
        return summarise(folder)["checklist"]
    return checklist(RunFolder(folder), json.loads((folder / "evaluation.json").read_text()))


def line(found: list[dict[str, str]], question: str) -> tuple[str, str]:
    """State and answer of the one question that holds some words."""
    (one,) = [line for line in found if question in line["question"]]
    return one["state"], one["answer"]


@pytest.fixture(scope="module")
def plain(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = make_run_folder(tmp_path_factory.mktemp("runs") / "plain")
    summarise(folder)
    return folder


@pytest.fixture
def folder(plain: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(plain, tmp_path / "run"))


def test_every_line_has_an_answer_a_source_and_a_state(folder: Path) -> None:
    found = lines(folder)
    assert {one["state"] for one in found} == set(STATES)
    assert all(one["answer"].endswith(".") and one["answer"] != "." for one in found)
    assert all(one["source"].startswith(("CLAIM 2024, ", "Metrics Reloaded, ")) for one in found)
    assert len({one["question"] for one in found}) == len(found)
    page = write_report(folder).read_text()
    assert page.index('<section id="cases-section">') < page.index('<section id="checklist">')
    assert page.index('<section id="checklist">') < page.index('<section id="settings">')
    assert all(STATES[one["state"]] in page for one in found)


def test_what_no_software_knows_is_left_to_the_authors(folder: Path) -> None:
    found = lines(folder, duplicates=COMPARED, training=training_record([]))
    for question in ("who was included", "devices and protocols", "Who labelled", "size of the test set"):
        assert line(found, question)[0] == "author"
    for question in ("final model chosen", "from elsewhere", "who paid", "by subgroup"):
        assert line(found, question)[0] == "author"


def test_a_split_is_vouched_for_only_where_training_scans_were_compared(folder: Path) -> None:
    unknown: dict[str, Any] | None
    for unknown in (None, {"warnings": [], "pairs": []}, COMPARED | {"sections": {"test": 12}}):
        found = lines(folder, duplicates=unknown)
        assert line(found, SPLIT)[0] == line(found, COPIES)[0] == "concern"
    found = lines(folder, duplicates=COMPARED)
    assert line(found, SPLIT) == (
        "answered",
        "Compared with 30 training scans: no patient of the test set by name among them.",
    )
    assert line(found, COPIES)[0] == "answered"
    assert line(lines(folder, duplicates=COMPARED | {"shared_patients": 2}), SPLIT)[0] == "concern"


def test_near_duplicates_are_a_concern_with_the_figures_without_them(folder: Path) -> None:
    pairs = [{"cases": ["t", "case000"], "sections": ["training", "test"], "correlation": 0.99}]
    state, answer = line(lines(folder, duplicates=COMPARED | {"pairs": pairs}), COPIES)
    area = json.loads((folder / "evaluation.json").read_text())["duplicates"]["auroc"]["volume"]
    assert state == "concern"
    assert answer.startswith("1 near-duplicate ")
    assert f"volume {area:.3f}" in answer


def test_threshold_and_rate_are_those_of_the_calibration(folder: Path, tmp_path: Path) -> None:
    assert line(lines(folder), "threshold come from")[1].startswith(
        "From 20 held-out normal patients (calibration.json)"
    )
    rate = json.loads((folder / "evaluation.json").read_text())["threshold"]["volume"]["achieved_fpr"]
    assert f"volumes {100 * rate:.1f} %" in line(lines(folder), "rate met")[1]
    found = summarise(make_run_folder(tmp_path / "without", calibrated=False))["checklist"]
    for question in ("threshold come from", "rate met", "lesion found", "chosen on the test set"):
        assert line(found, question)[0] == "concern"
    assert "no pixel threshold" in line(found, "lesion found")[1]


def test_one_class_alone_is_a_concern(tmp_path: Path) -> None:
    found = summarise(make_run_folder(tmp_path / "run", cases=4, abnormal=0))["checklist"]
    assert "4 normal, 0 abnormal" in line(found, "How many patients, cases")[1]
    for question in ("How many patients, cases", "Which measures", "no interval", "smaller class", "simple rule"):
        assert line(found, question)[0] == "concern"


def test_no_label_and_no_mask(tmp_path: Path) -> None:
    found = summarise(make_run_folder(tmp_path / "run", cases=4, unlabelled=4, masks=False, calibrated=False))[
        "checklist"
    ]
    state, answer = line(found, "no part in the figures")
    assert state == "concern"
    assert "4 volumes without a label" in answer
    assert line(found, "What is the truth")[0] == "concern"
    assert line(found, "lesion found") == ("answered", "Not judged: no lesion has a mask.")


def test_what_was_left_aside_is_listed(folder: Path) -> None:
    assert line(lines(folder), "left aside")[1] == "Nothing that the data list tells of."
    data = json.loads((folder / "run.json").read_text())["data"]
    found = lines(folder, data=data | {"left_aside": {"other kind": 3, "unreadable": 1, "empty": 0}})
    assert line(found, "left aside")[1] == "4 files: other kind: 3; unreadable: 1."


def test_contradictions_of_label_and_mask_are_counted(folder: Path) -> None:
    assert line(lines(folder), "labels and masks agree")[0] == "answered"
    rows = ["case,patient,class,contradiction", "case000,patient000,,labels and mask", "case001,patient000,,"]
    (folder / "truth.csv").write_text("\n".join(rows) + "\n")
    state, answer = line(lines(folder), "labels and masks agree")
    assert (state, "in 1 case," in answer) == ("concern", True)


def test_the_training_is_told_or_said_to_be_unknown(folder: Path) -> None:
    found = lines(folder)
    assert line(found, "How was it trained")[0] == line(found, "training succeed")[0] == "concern"
    found = lines(folder, training=training_record([]))
    assert line(found, "How was it trained")[1].startswith("2 epochs, 8 iterations on 32 images or slices; seed 0;")
    assert line(found, "training succeed")[0] == "answered"
    assert line(found, "one training")[1].startswith("One (seed 0)")
    state, answer = line(lines(folder, training=training_record(["the loss rose"])), "training succeed")
    assert (state, answer.startswith("the loss rose.")) == ("concern", True)


def test_rivals_are_named_and_what_was_not_compared_is(folder: Path, tmp_path: Path) -> None:
    summary = json.loads((folder / "evaluation.json").read_text())
    answer = line(summary["checklist"], "simple rule")[1]
    rivals = [row for row in summary["shortcuts"] if row["rivals"]]
    assert f"{len(summary['shortcuts'])} comparisons" in answer
    assert answer.count("(slices)") + answer.count("(volumes)") == len(rivals)
    assert "Not compared" not in answer
    bare = summarise(make_run_folder(tmp_path / "bare", cases=8, baselines=False))["checklist"]
    assert "Not compared: distance to the training mean" in line(bare, "simple rule")[1]


def test_groups_with_their_correction(tmp_path: Path) -> None:
    folder = make_run_folder(tmp_path / "run", classes=("x", "y"), strata={"sex": ("f", "m")})
    state, answer = line(summarise(folder)["checklist"], "by subgroup")
    assert state == "concern"  # few patients
    assert answer.startswith("2 classes, 2 groups by sex; 4 of 4 groups below 10 patients")
    assert "Holm" in answer


def test_merged_folds_say_what_all_of_them_say(tmp_path: Path) -> None:
    halves = [make_run_folder(tmp_path / str(first), cases=4, first=first) for first in (0, 4)]
    for place, half in enumerate(halves):
        record = json.loads((half / "run.json").read_text())
        pairs = [{"cases": ["t", f"case00{4 * place}"], "sections": ["training", "test"], "correlation": 0.99}]
        record |= {"duplicates": COMPARED | {"pairs": pairs}}
        record["data"]["left_aside"] = {"other kind": 2 + place}
        (half / "run.json").write_text(json.dumps(record))
    found = summarise(merge_runs(halves, tmp_path / "merged", name="both"))["checklist"]
    assert line(found, "left aside")[1] == "5 files: other kind: 5."
    assert line(found, COPIES)[1].startswith("2 near-duplicates")
    assert line(found, SPLIT)[1].startswith("2 folds, each patient tested in one. Compared with 60 training scans")
    assert line(found, "one training")[0] == "answered"
    record = json.loads((halves[0] / "run.json").read_text())
    (halves[0] / "run.json").write_text(json.dumps(record | {"duplicates": None}))
    found = summarise(merge_runs(halves, tmp_path / "again", name="both"))["checklist"]
    assert line(found, SPLIT)[0] == line(found, COPIES)[0] == "concern"


def test_a_page_of_an_earlier_evaluation_is_still_made(folder: Path) -> None:
    summary = json.loads((folder / "evaluation.json").read_text())
    for key in ("checklist", "methods"):
        del summary[key]
    (folder / "evaluation.json").write_text(json.dumps(summary))
    assert 'id="checklist"' not in write_report(folder).read_text()


def test_without_pictures_failures_cannot_be_looked_at(folder: Path) -> None:
    assert line(lines(folder), "failures shown")[0] == "answered"
    shutil.rmtree(folder / "pictures")
    assert line(lines(folder), "failures shown")[0] == "concern"
