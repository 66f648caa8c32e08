"""Difference from a published mean, on numbers that a table of Student's t gives by hand."""

from __future__ import annotations

import pytest
from scipy.stats import ttest_1samp, ttest_ind_from_stats

from qfae_monai.experiments.difference import NONE, STUDENT, WELCH, published_difference
from qfae_monai.experiments.rows import Published

VALUES = [93.0, 94.0, 94.2, 93.6, 95.2]
"""Mean 94.0, standard deviation 0.8124, of the mean 0.3633."""


def test_a_figure_without_spread_is_taken_as_exact() -> None:
    found = published_difference(VALUES, Published(93.0, "Table 3"))
    assert found.value == pytest.approx(1.0)
    # t of 4 degrees of freedom at 97.5 %: 2.776
    assert (found.low, found.high) == pytest.approx((1 - 2.776 * 0.3633, 1 + 2.776 * 0.3633), abs=2e-3)
    assert found.method == STUDENT
    own = ttest_1samp(VALUES, 93.0).confidence_interval()
    assert (found.low, found.high) == pytest.approx((own.low - 93, own.high - 93))


def test_a_published_spread_widens_the_interval() -> None:
    exact = published_difference(VALUES, Published(93.0, "Table 5"))
    found = published_difference(VALUES, Published(93.0, "Table 5", std=1.96))
    assert found.method == WELCH
    assert found.low is not None
    assert exact.low is not None
    assert found.low < exact.low
    # the interval ends at 0 where Welch's test refuses 0 at just 5 %
    shifted = 94.0 - (found.value - found.low)
    assert published_difference(VALUES, Published(shifted, "Table 5", std=1.96)).low == pytest.approx(0, abs=1e-9)
    welch = ttest_ind_from_stats(94.0, 0.660**0.5, 5, shifted, 1.96, 5, equal_var=False)
    assert welch.pvalue == pytest.approx(0.05, abs=1e-6)


def test_one_seed_has_no_interval() -> None:
    found = published_difference([93.4], Published(93.0, "Table 3", std=0.5))
    assert (found.low, found.high, found.method) == (None, None, NONE)
    assert str(found) == "+0.40"


def test_seeds_that_are_alike_have_no_interval() -> None:
    for std in (None, 0.5):
        found = published_difference([93.0, 93.0], Published(93.5, "Table 5", std=std))
        assert (found.value, found.low, found.high, found.method) == (-0.5, None, None, NONE)
