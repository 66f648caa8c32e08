"""QFAE trained at equal budget with each combination of frozen networks, every fold and seed in a folder of its own."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from qfae_monai.evaluation.encoder_table import Evaluated, encoder_table
from qfae_monai.evaluation.evaluation_report import summarise
from qfae_monai.evaluation.merging import merge_runs
from qfae_monai.experiments.claims import claim, claimed_inputs
from qfae_monai.experiments.frozen import FrozenNetwork
from qfae_monai.experiments.seed_run import EVALUATED, EVALUATION, MODEL, digest, read_json, score_images, train_once
from qfae_monai.files import write_csv, write_json
from qfae_monai.files.configurations import path_text
from qfae_monai.model.bundle import Bundle, configuration_file

POOLED = "pooled"  # takes a fold's place in the folders, so no fold may be called so
DATALIST = "dataset.json"


@dataclass(frozen=True)
class Combination:
    """Two frozen networks, and the options of robust reconstruction that they are trained with."""

    encoder: FrozenNetwork
    perceptual: FrozenNetwork
    robust: str | None = None

    @property
    def parts(self) -> list[str]:
        """Names of encoder and perceptual network, and of the options where there are any."""
        return [self.encoder.name, self.perceptual.name, *([] if self.robust is None else [self.robust])]

    @property
    def name(self) -> str:
        """encoder+perceptual, with +robust where there are options."""
        return "+".join(self.parts)


@dataclass(frozen=True)
class Budget:
    """Settings that all combinations share.

    data: a folder per fold, each with its data list, their names different. overlays: names of the
    bundle's configurations (or files of others) before a combination's own. seeds: one training each. settings:
    that replace the configurations' own. own: the same for every combination that a name is part of.
    """

    data: Sequence[Path]
    overlays: Sequence[str | Path]
    seeds: Sequence[int]
    settings: Mapping[str, Any]
    own: Mapping[str, Mapping[str, Any]]

    def __post_init__(self) -> None:
        names = [folder.resolve().name for folder in self.data]
        if not names or len(set(names)) < len(names) or POOLED in names:
            raise ValueError(f"--data: expected folders of different names, none called {POOLED!r}, got {names}")
        if not self.seeds or len(set(self.seeds)) < len(self.seeds):
            raise ValueError(f"--seeds: expected different seeds, at least one, got {list(self.seeds)}")
        for folder in self.data:
            if not folder.is_dir():
                raise FileNotFoundError(f"--data: expected a folder with a data set, got no such folder: {folder}")
        for name in self.overlays:
            configuration_file(name)


def combine(
    encoders: Sequence[FrozenNetwork],
    perceptuals: Sequence[FrozenNetwork],
    robust: Sequence[str] = (),
    *,
    robust_on: Sequence[str] = (),
    only: Sequence[str] = (),
) -> list[Combination]:
    """Every encoder with every perceptual network, then each set of options.

    Args:
        encoders, perceptuals: to be combined.
        robust: names of options, those of the overlays `experiments/robust-NAME`.
        robust_on: names of the combinations that the options are tried on; none for all.
        only: names of the combinations to keep; none for all.

    Raises:
        ValueError: if a network or option is named twice, a name is that of no combination, or `only` keeps none of an
            option's.
    """
    for what, names in (
        ("--encoder", [one.name for one in encoders]),
        ("--robust", list(robust)),
        ("--perceptual", [one.name for one in perceptuals]),
    ):
        if len(set(names)) < len(names):
            raise ValueError(f"{what}: expected each name once, got {names}")
    plain = [Combination(encoder, perceptual) for encoder in encoders for perceptual in perceptuals]  # without options
    _check_names("--robust-on", robust_on, [one.name for one in plain])
    chosen = [one for one in plain if not robust_on or one.name in robust_on]
    found = plain + [Combination(one.encoder, one.perceptual, options) for one in chosen for options in robust]
    _check_names("--only", only, [one.name for one in found])
    kept = [one for one in found if not only or one.name in only]
    if unused := [options for options in robust if options not in {one.robust for one in kept}]:
        raise ValueError(f"--robust {unused[0]}: expected it in a combination of --only, got {', '.join(only)}")
    return kept


def compare_encoders(
    combinations: Sequence[Combination],
    budget: Budget,
    output: Path,
    *,
    progress: Callable[[str], None] = lambda _: None,
) -> dict[str, Any]:
    """Train and evaluate what is not done yet, pool the folds, and write `encoders.json` and `encoders.csv`.

    Args:
        combinations: as `combine` gives them; run one after the other.
        budget: what they share.
        output: folder; a combination that is complete in it is kept.
        progress: told of each run that begins.

    Returns:
        The table, as `encoder_table` gives it.

    Raises:
        ValueError, FileNotFoundError: before anything is trained if a file is missing or not what it should be, or the
            folder was started with other settings.
    """
    # all before the first training, which takes hours
    _check_budget(budget, combinations)
    prepared = [_prepare(one, fold, budget, output) for one in combinations for fold in budget.data]
    for number, (one, fold, overlays) in enumerate(prepared):
        for seed in budget.seeds:
            progress(f"{number + 1}/{len(prepared)}: {one.name}, {fold.name}, seed {seed}")
            _run(_folder(output, one, fold.resolve().name, seed), budget, overlays, fold, seed)
    found = [_pool(one, budget, output) for one in combinations]
    table = encoder_table(found)
    write_json(output / "encoders.json", table)
    write_csv(output / "encoders.csv", CSV_COLUMNS, map(_csv_row, table["rows"]))
    return table


def _check_budget(budget: Budget, combinations: Sequence[Combination]) -> None:
    """Refuse settings and names that would change nothing, before a folder remembers them."""
    options = [f"experiments/robust-{one.robust}" for one in combinations if one.robust]
    networks = [network for one in combinations for network in (one.encoder, one.perceptual)]
    files = [network.overlay_file(fold.resolve().name) for network in networks for fold in budget.data]
    own = [file for file in files if file is not None and file.is_file()]
    bundle = Bundle(list(dict.fromkeys([*budget.overlays, *options, *own, "evaluate"])))
    bundle.check_known(budget.settings)
    parts = dict.fromkeys(name for one in combinations for name in one.parts)
    _check_names("--with", list(budget.own), list(parts))
    for settings in budget.own.values():
        bundle.check_known(settings, "--with")


def _check_names(option: str, names: Sequence[str], known: Sequence[str]) -> None:
    unknown = [name for name in names if name not in known]
    if unknown:
        raise ValueError(f"{option}: expected one of {', '.join(known)}, got {', '.join(unknown)}")


def _folder(output: Path, one: Combination, fold: str, seed: int) -> Path:
    return output / "runs" / one.name / fold / f"seed-{seed}"


def _prepare(one: Combination, fold: Path, budget: Budget, output: Path) -> tuple[Combination, Path, list[str | Path]]:
    """Write the combination's overlay for a fold: names of all configurations, in order."""
    place = output / "runs" / one.name / fold.resolve().name
    content = one.encoder.settings(fold.resolve().name) | one.perceptual.settings(fold.resolve().name)
    for name in one.parts:
        content |= budget.own.get(name, {})
    overlays: list[str | Path] = [*budget.overlays]
    if one.robust is not None:
        overlays.append(f"experiments/robust-{one.robust}")
        configuration_file(overlays[-1])  # refuses a name that there is none of
    listed = fold / DATALIST
    started = claimed_inputs(overlays, fold, budget.settings)
    # a folder that was begun with other networks is refused
    started |= {"networks": content, DATALIST: digest(listed) if listed.is_file() else None}
    claim(place / "settings.json", started)
    write_json(place / "overlay.json", content)
    return one, fold, [*overlays, (place / "overlay.json").resolve()]


def _run(folder: Path, budget: Budget, overlays: Sequence[str | Path], fold: Path, seed: int) -> None:
    given = {**budget.settings, "dataset_dir": path_text(fold), "seed": seed}
    train_once(folder, overlays, given)
    if read_json(folder / EVALUATED) is None:  # the marker is written last
        named = {"run_name": f"{folder.parent.parent.name}, {fold.resolve().name}, seed {seed}"}
        _, scores = score_images(
            folder, overlays, {"save_maps": False, "save_pictures": False, **named, **given}, model=folder / MODEL
        )
        write_json(folder / EVALUATED, {"seed": seed, "images": len(scores)})


def _pool(one: Combination, budget: Budget, output: Path) -> Evaluated:
    names = [fold.resolve().name for fold in budget.data]
    pooled = []
    for seed in budget.seeds:
        runs = [_folder(output, one, name, seed) / EVALUATION for name in names]
        pooled.append(merge_runs(runs, _folder(output, one, POOLED, seed), name=one.name))
        summarise(pooled[-1])
    # each fold's own AUROC, beside the pooled one
    folds = [_folder(output, one, name, seed) / EVALUATION for name in names for seed in budget.seeds]
    in_house = one.encoder.in_house or one.perceptual.in_house
    return Evaluated(one.name, one.encoder.name, one.perceptual.name, one.robust, in_house, pooled, folds)


CSV_COLUMNS = (
    "combination",
    "encoder",
    "perceptual",
    "robust",
    "in_house",
    "seeds",
    *(f"{measure}{end}" for measure in ("slice_auroc", "pixel_ap", "volume_auroc") for end in ("", "_low", "_high")),
    "slice_auroc_within_folds",
    "neighbours_slice_auroc",
    "neighbours_pixel_ap",
    "neighbours_volume_auroc",
)


def _csv_row(row: Mapping[str, Any]) -> list[Any]:
    measures = ("slice_auroc", "pixel_ap", "volume_auroc")
    return [
        *(row[key] for key in ("name", "encoder", "perceptual", "robust", "in_house", "seeds")),
        *(row[measure][end] for measure in measures for end in ("value", "low", "high")),
        row["slice_auroc_within_folds"],
        *(row["neighbours"][measure]["value"] for measure in measures),
    ]
