"""How often the intervals of an evaluation hold the true figure, and how often `qfae compare` sees what is not there.

    python -m benchmarks.coverage
    python -m benchmarks.coverage --draws 200 --only slices --table differences

Test sets of 6, 20 and 60 patients in the smaller class are drawn from a population whose figures are known from some
thousand patients. Scores are normal, of equal spread in both classes; slices of a patient share half of their variance;
lesions differ in size and in how much they stand out. Each interval is to hold the true figure in 93 to 97 % of the
test sets.
"""

from __future__ import annotations

import argparse
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
from scipy.stats import norm

from qfae_monai.evaluation.case_columns import Table
from qfae_monai.evaluation.differences import paired_difference
from qfae_monai.evaluation.estimates import Estimate, area, mean, rate
from qfae_monai.evaluation.histogram import COARSE_BITS, MapHistogram
from qfae_monai.evaluation.jackknife import Sample
from qfae_monai.evaluation.levels import Level
from qfae_monai.evaluation.weighted import WeightedMaps

Generator = np.random.Generator
Test = Callable[[Generator, int], Mapping[str, Estimate]]
"""A test set of so many patients -> its figures."""

AREAS = (0.7, 0.95)
PATIENTS = (6, 20, 60)
MANY = 4000  # patients behind a true figure


@dataclass(frozen=True)
class Design:
    """A kind of test set. made: Test; second: of another model on the same rows, for differences; None without."""

    name: str
    made: Test
    pair: Callable[[Generator, int], tuple[Mapping[str, Estimate], Mapping[str, Estimate]]] | None = None


def scores(rng: Generator, labels: np.ndarray, place: np.ndarray, auroc: float, shared: np.ndarray) -> np.ndarray:
    """Scores (N,) of items, patients sharing half of their variance; `shared` (N + patients,) correlates two models."""
    patients = place[-1] + 1
    own = math.sqrt(0.5) * rng.normal(size=len(shared)) + math.sqrt(0.5) * shared
    alone = len(labels) == patients
    within = own[: len(labels)] if alone else math.sqrt(0.5) * (own[: len(labels)] + own[len(labels) :][place])
    return np.asarray(within + math.sqrt(2) * norm.ppf(auroc) * labels)


def items(rng: Generator, patients: int, design: str) -> tuple[np.ndarray, np.ndarray]:
    """Labels and patients (N,) of items: `alone`, one each; `mixed`, both kinds of slices in all; `half`, in half."""
    labels, place = [], []
    for patient in range(2 * patients if design != "mixed" else patients):
        abnormal = design == "mixed" or patient % 2 == 1
        if design == "alone":
            own = [int(abnormal)]
        else:
            own = [0] * int(rng.integers(1, 31)) + [1] * (int(rng.integers(1, 31)) if abnormal else 0)
        labels += own
        place += [patient] * len(own)
    return np.array(labels), np.array(place)


def ranked(auroc: float, design: str) -> Callable[[Generator, int], tuple[Mapping[str, Estimate], ...]]:
    """Two models on slices or images."""

    def made(rng: Generator, patients: int) -> tuple[Mapping[str, Estimate], ...]:
        labels, place = items(rng, patients, design)
        shared = rng.normal(size=len(labels) + place[-1] + 1)
        named = place.astype(np.str_)
        return tuple(
            Level(
                "image" if design == "alone" else "slice",
                Table(
                    {
                        "case": named,
                        "patient": named,
                        "label": labels.astype(np.float64),
                        "score": scores(rng, labels, place, auroc, shared),
                    }
                ),
                0.95,
            ).estimates
            for _ in range(2)
        )

    return made


def maps(auroc: float) -> Test:
    """Pixels of one or two lesions in each of half of the patients."""

    def made(rng: Generator, patients: int) -> Mapping[str, Estimate]:
        cases = []
        for patient in range(2 * patients):
            count = int(rng.integers(1, 3)) if patient % 2 else 0
            sizes = np.ceil(np.exp(rng.normal(1, 0.7, count))).astype(int)
            regions = np.concatenate([np.zeros(120, int), np.repeat(np.arange(1, count + 1), sizes)])
            stands_out = np.concatenate([[0], math.sqrt(2) * norm.ppf(auroc) + 0.5 * rng.normal(size=count)])[regions]
            values = 0.5 * rng.normal() + math.sqrt(0.75) * rng.normal(size=len(regions)) + stands_out
            cases.append(MapHistogram.of(np.exp(values)[None], regions[None], COARSE_BITS))
        weighted, named = WeightedMaps(cases), np.arange(len(cases)).astype(np.str_)
        pixels = np.array([(case.normal.sum(), case.lesion.sum()) for case in cases], dtype=np.float64)
        every = np.ones((1, len(cases)))
        return {
            "auroc": area(float(weighted.auroc(every)[0]), named, pixels, weighted.auroc, weighted.separation),
            "average_precision": Estimate(
                float(weighted.average_precision(every)[0]), Sample(named, pixels), weighted.average_precision
            ),
            "aupro": Estimate(float(weighted.aupro(every)[0]), Sample(named, pixels), weighted.aupro),
        }

    return made


def means(rng: Generator, patients: int) -> Mapping[str, Estimate]:
    """Figures at a threshold: one row for each patient."""
    named = np.arange(patients).astype(np.str_)
    lesions = 1 + rng.poisson(1.5, patients)
    slices = rng.integers(1, 31, patients)
    return {
        "Dice, mean 0.57": mean(named, rng.beta(2, 1.5, patients)),
        "Dice, a quarter 0": mean(named, rng.beta(2, 3, patients) * (rng.random(patients) > 0.25)),
        "Dice, mean 0.89": mean(named, rng.beta(12, 1.5, patients)),
        "lesions found, 0.6": rate(named, rng.binomial(lesions, rng.beta(3, 2, patients)), lesions),
        "lesions found, 0.9": rate(named, rng.binomial(lesions, rng.beta(9, 1, patients)), lesions),
        "false positives, 3.5": mean(named, rng.negative_binomial(1.5, 0.3, patients), amount=True),
        "rate of volumes, 0.05": rate(named, rng.random(patients) < 0.05),
        "rate of volumes, 0.7": rate(named, rng.random(patients) < 0.7),
        "rate of slices, 0.05": rate(named, rng.binomial(slices, rng.beta(1, 19, patients)), slices),
        "rate of slices, 0.7": rate(named, rng.binomial(slices, rng.beta(4, 12 / 7, patients)), slices),
    }


def designs() -> list[Design]:
    found = []
    for auroc in AREAS:
        for design, name in (
            ("alone", "images, one each"),
            ("half", "slices, half of the patients normal"),
            ("mixed", "slices, both kinds in all"),
        ):
            pair = ranked(auroc, design)
            found.append(Design(f"{name}, {auroc}", lambda rng, count, pair=pair: pair(rng, count)[0], pair))
        found.append(Design(f"pixels, {auroc}", maps(auroc)))
    return [*found, Design("at a threshold", means)]


def main() -> None:
    """Print the tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--draws", type=int, default=2000, help="test sets of each kind")
    parser.add_argument("--only", default="", help="designs whose name contains this")
    parser.add_argument("--table", choices=("intervals", "differences"), help="one of the two tables alone")
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    chosen = [design for design in designs() if arguments.only in design.name]
    if arguments.table != "differences":
        head("test set", "figure", "truth")
        for design in chosen:
            coverage(design, arguments.draws, arguments.seed)
    if arguments.table != "intervals":
        head("two models without a difference", "figure")
        for design in chosen:
            if design.pair is not None:
                false_alarms(design, arguments.draws, arguments.seed)


def head(*names: str) -> None:
    """Print the head of a table."""
    cells = [*names, *(f"{count} in the smaller class" for count in PATIENTS)]
    print(f"\n| {' | '.join(cells)} |\n|{'---|' * len(cells)}", flush=True)


def coverage(design: Design, draws: int, seed: int) -> None:
    """A row for each figure: the share of test sets whose interval holds the truth, of those that have one."""
    rng = np.random.default_rng(seed)
    large = [design.made(rng, MANY) for _ in range(3)]
    truth = {name: float(np.mean([one[name].value for one in large])) for name in large[0]}
    cells: dict[str, list[str]] = {name: [] for name in truth}
    for count in PATIENTS:
        found: dict[str, list[bool]] = {name: [] for name in truth}
        for _ in range(draws):
            for name, estimate in design.made(rng, count).items():
                interval = estimate.interval()
                if not interval.reason:
                    found[name].append(interval.low <= truth[name] <= interval.high)
        for name, held in found.items():
            cells[name].append(shown(held, draws))
    for name, row in cells.items():
        print(f"| {design.name} | {name.replace('_', ' ')} | {truth[name]:.3f} | {' | '.join(row)} |", flush=True)


def false_alarms(design: Design, draws: int, seed: int) -> None:
    """A row for each figure: the share of pairs with p of at most 0.05, and with an interval that holds 0."""
    assert design.pair is not None
    rng = np.random.default_rng(seed)
    cells: dict[str, list[str]] = {}
    for count in PATIENTS:
        alarms: dict[str, list[bool]] = {}
        held: dict[str, list[bool]] = {}
        for _ in range(draws):
            first, second = design.pair(rng, count)
            for name in first:
                difference = paired_difference(first[name], second[name])
                if not math.isnan(difference.p):
                    alarms.setdefault(name, []).append(difference.p <= 0.05)
                if not difference.reason:
                    held.setdefault(name, []).append(difference.low <= 0 <= difference.high)
        for name in first:
            alarm = alarms.get(name, [])
            rejected = f"{100 * np.mean(alarm):.1f} %" if alarm else "none"
            cells.setdefault(name, []).append(f"{rejected}; {shown(held.get(name, []), draws)}")
    for name, row in cells.items():
        print(f"| {design.name} | {name.replace('_', ' ')} | {' | '.join(row)} |", flush=True)


def shown(held: list[bool], draws: int) -> str:
    """Share of the intervals that hold the truth; in brackets how many of the test sets have one, where not all do."""
    if len(held) < draws / 20:
        return "none"
    share = f"{100 * np.mean(held):.1f} %"
    return share if len(held) == draws else f"{share} ({100 * len(held) / draws:.0f} %)"


if __name__ == "__main__":
    main()
