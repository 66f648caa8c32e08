from __future__ import annotations

import numpy as np
import pytest

from qfae_monai.evaluation.case_columns import Table
from qfae_monai.evaluation.cases import Thresholds, choose_cases, view_case, worst_slices
from qfae_monai.evaluation.sprites import Picture

NAN = float("nan")
SLICES = Table(
    {
        "case": np.array(["a", "a", "a", "b", "b", "c"]),
        "slice": np.array([1.0, 2, 4, 1, 2, 0]),
        "score": np.array([1.0, 5, 2, 3, 4, 2.5]),
        "p_value": np.array([0.5, 0.01, 0.3, 0.2, NAN, NAN]),
        "label": np.array([1.0, 1, 0, 0, 0, NAN]),
        "lesion_pixels": np.array([3.0, 20, 0, 0, 0, NAN]),
    }
)
VOLUMES = Table(
    {
        "case": np.array(["a", "b", "c"]),
        "patient": np.array(["A", "B", "C"]),
        "score": np.array([5.0, 4, 2.5]),
        "p_value": np.array([0.01, NAN, NAN]),
        "label": np.array([1.0, 0, NAN]),
        "slices": np.array([6.0, 6, 1]),
    }
)


def test_a_card_begins_with_the_highest_slice_and_says_what_it_shows(pictures: dict[str, Picture]) -> None:
    view = view_case(VOLUMES, 0, SLICES, pictures["a"], Thresholds(slice=3.5, case=4.5))
    space = "\N{NO-BREAK SPACE}"
    assert view.start == 1
    assert view.captions[1] == f"slice 2 · score 5 · p{space}={space}0.01 · above threshold · lesion 20 px"
    assert view.captions[2] == f"slice 4 · score 2 · p{space}={space}0.3 · below threshold · no lesion"
    assert view.places == [200.0, 400.0, 800.0]  # slice / 5 of 1000
    assert (view.label, view.outcome) == (1, "found")


def test_the_trace_breaks_where_slices_were_not_scored(pictures: dict[str, Picture]) -> None:
    """Slices 1 and 2 are joined, 4 stands alone; lesions cover slices 1 and 2. Scores run from 1 (bottom) to 5."""
    view = view_case(VOLUMES, 0, SLICES, pictures["a"], Thresholds(slice=3.0))
    assert view.trace == "M200.0 56.0h0L400.0 4.0M800.0 43.0h0"
    assert view.lesions == "M100.0 0H300.0M300.0 0H500.0"
    assert view.limit == "M0 30.0H1000"


@pytest.mark.parametrize(
    ("row", "threshold", "outcome"),
    [(0, 4.5, "found"), (0, 5.5, "missed"), (1, 3.5, "false alarm"), (1, 4.5, "passed"), (2, 1.0, ""), (0, None, "")],
)
def test_the_outcome_needs_label_and_threshold(row: int, threshold: float | None, outcome: str) -> None:
    assert view_case(VOLUMES, row, SLICES, None, Thresholds(case=threshold)).outcome == outcome


def test_a_score_that_is_the_threshold_is_not_above_it_after_rounding_in_a_table() -> None:
    """0.1 as float32 is 0.100000001 in a table of nine digits; the threshold keeps float32's own digits."""
    threshold = float(np.float32(0.1))
    volumes = Table({**VOLUMES.columns, "score": np.array([float(f"{threshold:.9g}")] * 3)})
    assert volumes["score"][0] != threshold
    assert view_case(volumes, 0, SLICES, None, Thresholds(case=np.nextafter(threshold, 0))).outcome == "missed"


def test_an_unlabelled_image_has_no_trace(pictures: dict[str, Picture]) -> None:
    view = view_case(VOLUMES, 2, SLICES, pictures["c"], Thresholds())
    assert (view.label, view.trace, view.captions) == (None, "", ["score 2.5 · unlabelled"])


def test_the_worst_slices_are_one_a_case_and_have_a_picture(pictures: dict[str, Picture]) -> None:
    thresholds = Thresholds(slice=1.5)
    misses = worst_slices(SLICES, pictures, thresholds, missed=True)
    assert [(tile["case"], tile["slice"], tile["verdict"]) for tile in misses] == [("a", 1, "missed")]
    alarms = worst_slices(SLICES, pictures, thresholds, missed=False)
    assert [(tile["case"], tile["slice"], tile["verdict"]) for tile in alarms] == [
        ("b", 2, "false alarm"),
        ("a", 4, "false alarm"),
    ]
    assert worst_slices(SLICES, {}, thresholds, missed=True) == []


def test_of_many_images_the_worst_and_an_even_sample_are_shown() -> None:
    """Of 600 images 60 are shown: 20 lowest-scored abnormal, 20 highest-scored normal, 20 of the others."""
    labels = np.arange(600) % 2
    volumes = Table({"score": np.arange(600.0), "label": labels.astype(float)})
    rows = choose_cases(volumes, "image")
    assert len(rows) == 60
    assert rows == sorted(rows, reverse=True)
    assert set(range(1, 40, 2)) <= set(rows)
    assert set(range(560, 600, 2)) <= set(rows)
    assert len(choose_cases(volumes.where(np.arange(600) < 100), "volume")) == 100
