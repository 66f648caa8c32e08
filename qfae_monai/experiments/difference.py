"""Difference of our seeds' mean from a published mean, with its interval over trainings."""

from __future__ import annotations

import math
import statistics
from collections.abc import Sequence
from dataclasses import dataclass

from scipy.stats import t

from qfae_monai.evaluation.intervals import LEVEL
from qfae_monai.experiments.rows import Published

PUBLISHED_SEEDS = 5
STUDENT = "Student's t over our seeds; the published figure is taken as exact"
WELCH = f"Welch's t over our seeds and the {PUBLISHED_SEEDS} published ones"
NONE = "none: our seeds show no spread"


@dataclass(frozen=True)
class Difference:
    """Ours minus the published figure, in points of a percentage.

    value: of the means.
    low, high: ends of the 95 % interval; None for a single seed, or for seeds that are all alike.
    method: of the interval, in words.
    """

    value: float
    low: float | None
    high: float | None
    method: str

    def __str__(self) -> str:
        limits = "" if self.low is None or self.high is None else f" ({self.low:+.2f} to {self.high:+.2f})"
        return f"{self.value:+.2f}{limits}"


def published_difference(values: Sequence[float], published: Published) -> Difference:
    """Difference of means with a 95 % interval over trainings, not over patients.

    Args:
        values: ours, one per seed, in percent.
        published: the paper's; its standard deviation counts where there is one.

    >>> str(published_difference([93.0, 94.0, 95.0], Published(93.0, "Table 2c")))
    '+1.00 (-1.48 to +3.48)'
    """
    count = len(values)
    value = statistics.fmean(values) - published.image_auroc
    ours = statistics.variance(values) / count if count > 1 else 0.0  # of the mean
    if not ours:  # a single seed, or all alike: an interval would have no width of its own
        return Difference(value, None, None, NONE)
    theirs = 0.0 if published.std is None else published.std**2 / PUBLISHED_SEEDS
    method = STUDENT if published.std is None else WELCH
    freedom = count - 1.0
    if theirs:  # Welch and Satterthwaite
        freedom = (ours + theirs) ** 2 / (ours**2 / (count - 1) + theirs**2 / (PUBLISHED_SEEDS - 1))
    reach = float(t.ppf((1 + LEVEL) / 2, freedom)) * math.sqrt(ours + theirs)
    return Difference(value, value - reach, value + reach, method)
