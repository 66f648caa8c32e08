"""A row of the paper over several seeds: resumes where it stopped, ends with mean and standard deviation."""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from qfae_monai.evaluation.merging import across_seeds
from qfae_monai.experiments.claims import claim, claimed_inputs
from qfae_monai.experiments.difference import Difference, published_difference
from qfae_monai.experiments.rows import LAYOUT, ExperimentRow, Published, find_row
from qfae_monai.experiments.seed_run import EVALUATION, MODEL, evaluate_once, train_once
from qfae_monai.experiments.sizes import row_settings
from qfae_monai.files import write_csv, write_json
from qfae_monai.files.configurations import path_text
from qfae_monai.model.bundle import Bundle

SEEDS = (42, 7, 13, 65, 91)
"""Of the published runs."""


def run_experiment(
    row: ExperimentRow,
    data: Path,
    output: Path,
    *,
    seeds: Sequence[int] = SEEDS,
    preset: str = "paper",
    layout: str = LAYOUT,
    settings: Mapping[str, Any] | None = None,
) -> dict[str, Any]:
    """Train and evaluate each seed in `output/NAME/seed-N`; finished parts are kept, interrupted ones resumed.

    A row that differs from another in scoring alone is trained in the other's folder, once for both.

    Args:
        row: what is run.
        data: folder of the data set, in the layout of the overlay `layout`.
        output: folder of all experiments.
        seeds: one run each; more may be added to a folder later.
        preset: of the bundle.
        layout: overlay that reads the data.
        settings: of the bundle that replace the configurations' own (`max_epochs`, `batch_size`).

    Returns:
        What is written to `results.json`: one entry per seed, mean and standard deviation in percent, and `measures`,
        those of every measure of the evaluations.

    Raises:
        ValueError: if the folder was started with other settings (says which), a seed is named twice, or no row fits
            the preset.
    """
    check_seeds(seeds)
    folder, trainer = output / row.name, find_row(row.trained_by or row.name)
    training, scoring = trainer.overlays(layout), row.overlays(layout)
    Bundle([*scoring, "evaluate"]).check_known(settings or {})
    # a setting given by name wins
    to_train, to_score = ({"preset": preset, **row_settings(one, preset), **(settings or {})} for one in (trainer, row))
    claim(output / trainer.name / "training_settings.json", claimed_inputs(training, data, to_train))
    claim(folder / "evaluation_settings.json", claimed_inputs([*scoring, "evaluate"], data, to_score))
    found = []
    for seed in seeds:
        # the same folder unless another row trains for this one
        own, trained = folder / f"seed-{seed}", output / trainer.name / f"seed-{seed}"
        given = {"dataset_dir": path_text(data), "seed": seed}
        train_once(trained, training, to_train | given)
        found.append(evaluate_once(own, scoring, to_score | given, model=trained / MODEL))
    evaluations = [folder / f"seed-{seed}" / EVALUATION for seed in seeds]
    results = summarise(row, found, across_seeds(evaluations)) | {"preset": preset}
    write_json(folder / "results.json", results)
    write_csv(
        folder / "results.csv",
        ("seed", "images", "image_auroc"),
        [
            *((entry["seed"], entry["images"], entry["image_auroc"]) for entry in found),
            ("mean", None, results["mean"]),
            ("std", None, results["std"]),
        ],
    )
    return results


def check_seeds(seeds: Sequence[int]) -> None:
    """Refuse a seed that is named twice, and no seed at all, by a ValueError."""
    if len(set(seeds)) != len(seeds) or not seeds:
        raise ValueError(f"--seeds: expected different seeds, at least one, got {list(seeds)}")


def summarise(
    row: ExperimentRow, found: Sequence[Mapping[str, Any]], measures: Mapping[str, Mapping[str, Any]]
) -> dict[str, Any]:
    """Image AUROC: mean and standard deviation (n - 1; None for a single seed) beside the published figure."""
    values = [float(entry["image_auroc"]) for entry in found]  # percent
    return {
        "name": row.name,
        "tables": list(row.tables),
        "row": row.row,
        "dataset": row.dataset,
        "unit": "image AUROC in percent",
        "seeds": [dict(entry) for entry in found],
        "mean": statistics.fmean(values),
        "std": statistics.stdev(values) if len(values) > 1 else None,
        "published": None if row.published is None else asdict(row.published),
        "difference": None if row.published is None else asdict(published_difference(values, row.published)),
        "measures": dict(measures),
    }


def format_results(results: Mapping[str, Any]) -> str:
    """The table that ends a run: one line per seed, then mean and standard deviation beside what was published."""
    lines = [f"{results['name']}: {results['row']}", f"{'seed':>6}  {'images':>6}  image AUROC, %"]
    lines += [f"{entry['seed']:>6}  {entry['images']:>6}  {entry['image_auroc']:.2f}" for entry in results["seeds"]]
    spread = "" if results["std"] is None else f" ± {results['std']:.2f}"
    published = results["published"]
    beside = "none, a row of our own" if published is None else str(Published(**published))
    lines.append(f"{'mean':>6}  {'':>6}  {results['mean']:.2f}{spread}   published: {beside}")
    if results["difference"] is not None:
        lines.append(f"{'':>14}  difference: {Difference(**results['difference'])}")
    for name, measure in results["measures"].items():
        if measure["mean"] is not None:
            lines.append(
                f"  {name:<40}{measure['mean']:.3f}" + ("" if measure["std"] is None else f" ± {measure['std']:.3f}")
            )
    return "\n".join(lines)
