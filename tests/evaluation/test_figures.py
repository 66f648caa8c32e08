from __future__ import annotations

import re
from xml.etree import ElementTree

import numpy as np
import pytest
from markupsafe import Markup

from qfae_monai.evaluation.figures import (
    POINTS,
    Ranking,
    froc_figure,
    precision_recall_figure,
    roc_figure,
    score_figure,
    size_figure,
)

RNG = np.random.default_rng(0)
LABELS = np.repeat([0, 1], 3000)
SLICES = Ranking("slice", RNG.normal(LABELS), LABELS, threshold=1.0)
ONE_CLASS = Ranking("volume", np.arange(4.0), np.zeros(4, int))


def text(svg: Markup) -> str:
    return " ".join(ElementTree.fromstring(str(svg)).itertext())


def test_figures_are_well_formed_and_name_their_areas() -> None:
    areas = {"slice": 0.76}
    assert "slice (AUROC 0.760)" in text(roc_figure([SLICES], areas))
    assert "slice (AP 0.760)" in text(precision_recall_figure([SLICES], areas))
    histogram = text(score_figure(SLICES))
    assert "normal (3000)" in histogram
    assert "threshold 1" in histogram


def test_curves_of_many_points_stay_small() -> None:
    assert len(roc_figure([SLICES], {})) < 150 * POINTS


def test_one_class_alone_has_no_curve_but_a_histogram() -> None:
    assert roc_figure([ONE_CLASS], {}) == ""
    assert precision_recall_figure([ONE_CLASS], {}) == ""
    assert "normal (4)" in text(score_figure(ONE_CLASS))


def test_a_weight_counts_as_so_many_scores() -> None:
    """Two bins with counts against the same scores one by one: the same curve."""
    counted = Ranking("pixel", np.array([0, 1, 0, 1]), np.array([0, 0, 1, 1]), np.array([3, 1, 1, 3]))
    single = Ranking("pixel", np.array([0, 0, 0, 1, 0, 1, 1, 1]), np.array([0, 0, 0, 0, 1, 1, 1, 1]))
    assert roc_figure([counted], {}) == roc_figure([single], {})
    assert counted.prevalence == single.prevalence == 0.5


def test_colours_are_the_pages_and_names_are_unique() -> None:
    page = roc_figure([SLICES], {}) + score_figure(SLICES)
    assert not re.search(r"#0101\d\d", page)
    assert "var(--normal)" in page
    names = re.findall(r'\bid="([^"]+)"', page)
    assert len(names) == len(set(names))


@pytest.mark.parametrize("value", [None, 0.5])
def test_a_band_without_lesions_has_no_mark(value: float | None) -> None:
    figure = size_figure(["below 100 mm³"], [{"value": value, "low": value, "high": value}])
    assert "below 100 mm³" in text(figure)
    assert ("var(--normal)" in figure) == (value is not None)


def test_froc_names_its_rates_and_bears_undefined_intervals() -> None:
    at_rates = [{"rate": rate, "value": 0.5, "low": None, "high": None} for rate in (0.125, 1.0, 8.0)]
    found = text(froc_figure([3.0, 1.0, 0.0], [0.9, 0.5, 0.2], at_rates, "volume"))
    assert "false positives per volume" in found
    assert all(rate in found for rate in ("0.125", "1", "8"))
    assert "sensitivity" in text(froc_figure([0.0], [0.0], at_rates, "image"))
