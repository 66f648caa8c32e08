"""Train and evaluate the bundle on six real patients: `python benchmarks/brats2015.py FOLDER OUTPUT`.

FOLDER holds `train|validation|test/PATIENT/` with `Flair_subtrMeanDivStd.nii.gz`, `T1c_subtrMeanDivStd.nii.gz`,
`OTMultiClass.nii.gz` (tumour) and `brainmask.nii.gz`, as in the BraTS 2015 sample of DeepMedic. For each sequence and
each of three patient-disjoint splits: tumour-free slices of three patients to train, those of a fourth for thresholds,
slices 30..124 of the other two to test. Prints tables beside simple features; writes them to OUTPUT/table.md, and a
report of each run to OUTPUT/*/evaluation/report.html.

With `--folds` nothing is trained: the data lists of the three splits, in which every patient is tested once, are
written to OUTPUT/SEQUENCE/fold-N/dataset.json, for pretraining and for `qfae encoders compare`.
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import Any

from qfae_monai.model.bundle import Bundle

SEQUENCES = {"FLAIR": ("Flair_subtrMeanDivStd", None), "T1c equalised": ("T1c_subtrMeanDivStd", "brats2015_equalised")}
SPLITS = 3
STEPS = {"training": (), "calibrating": ("evaluate", "calibrate"), "evaluating": ("evaluate",)}
SLICE_FEATURES = ("rival_neighbours", "trivial_p99", "trivial_mean", "trivial_std", "distance_to_middle")
MAPS = ("image", "mean_distance", "neighbours")


def rows(evaluation: dict[str, Any]) -> list[str]:
    """Cells of one run: method with intervals by patient, then simple features and maps."""
    metrics, threshold = evaluation["metrics"], evaluation["threshold"]
    features = {one["feature"]: one for one in evaluation["shortcuts"] if one["level"] == "slice"}
    at_slice, at_pixel = threshold["slice"], threshold["pixel"]
    return [
        _interval(metrics["slice"]["auroc"]),
        _interval(metrics["volume"]["auroc"]),
        _interval(metrics["pixel"]["average_precision"]),
        _interval(metrics["pixel"]["aupro"]),
        f"{at_slice['achieved_fpr']:.2f}" if at_slice else "-",
        _interval(at_pixel["dice"]),
        _interval(at_pixel["lesion_sensitivity"]),
        _interval(at_pixel["false_positives_per_volume"]),
        *(f"{features[name]['separability']:.2f}" for name in SLICE_FEATURES),
        *(f"{evaluation['maps'][name]['average_precision']:.2f}" for name in MAPS),
    ]


HEADS = (
    "slice AUROC",
    "volume AUROC",
    "pixel AP",
    "AUPRO",
    "slice FPR (wanted 0.05)",
    "Dice",
    "lesions found",
    "false positives a volume",
    *(f"AUROC {name}" for name in SLICE_FEATURES),
    *(f"pixel AP {name}" for name in MAPS),
)


def _interval(found: dict[str, float | None]) -> str:
    if found["value"] is None:
        return "undefined"
    limits = "" if found["low"] is None else f" ({found['low']:.2f} to {found['high']:.2f})"
    return f"{found['value']:.2f}{limits}"


def write_datalist(folder: Path, path: Path, image: str, split: int) -> None:
    """Patients 2k and 2k + 1 of the sorted six to the test section, the next one to validation, three to training."""
    patients = sorted(folder.glob("*/*/OTMultiClass.nii.gz"), key=lambda mask: mask.parent.name)
    if len(patients) != 2 * SPLITS:
        raise ValueError(f"{folder}: expected six patients with OTMultiClass.nii.gz, got {len(patients)}")
    entries = [
        {
            "image": str((mask.parent / f"{image}.nii.gz").resolve()),
            "label": str(mask.resolve()),
            "mask": str((mask.parent / "brainmask.nii.gz").resolve()),
            "case": mask.parent.name,
            "patient": mask.parent.name,
        }
        for mask in patients
    ]
    test = entries[2 * split : 2 * split + 2]
    held_out = entries[(2 * split + 2) % len(entries)]
    rest = [entry for entry in entries if entry not in (*test, held_out)]
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps({"training": rest, "validation": [held_out], "test": test}, indent=1))


def write_folds(folder: Path, output: Path) -> list[Path]:
    """The data list of each sequence and split, in a folder of its own."""
    folds = []
    for image, _ in SEQUENCES.values():
        for split in range(SPLITS):
            folds.append(output.resolve() / image / f"fold-{split}")
            write_datalist(folder.resolve(), folds[-1] / "dataset.json", image, split)
    return folds


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("output", type=Path)
    parser.add_argument("--epochs", type=int, default=40)
    parser.add_argument("--splits", type=int, choices=range(1, SPLITS + 1), default=SPLITS, help="the first of them")
    parser.add_argument("--folds", action="store_true", help="write the data lists alone, a folder each")
    arguments = parser.parse_args()
    if arguments.folds:
        print(*write_folds(arguments.folder, arguments.output), sep="\n")
        return
    results: list[tuple[str, list[str]]] = []
    for sequence, (image, overlay) in SEQUENCES.items():
        for split in range(arguments.splits):
            work = arguments.output / f"{image}-{split}"
            write_datalist(arguments.folder.resolve(), work.resolve() / "dataset.json", image, split)
            names = ["train", "datasets/brats2015", *([f"datasets/{overlay}"] if overlay else [])]
            settings = {
                "preset": "tiny",
                "dataset_dir": str(work),
                "model_dir": str(work / "model"),
                "output_dir": str(work / "evaluation"),
                "max_epochs": arguments.epochs,
            }
            named = {"run_name": f"BraTS 2015 sample, {sequence}, split {split}"}
            for run_id, added in STEPS.items():
                Bundle([*names, *added], {**settings, **(named if added else {})}).run(run_id)
            results.append(
                (f"{sequence}, split {split}", rows(json.loads((work / "evaluation" / "evaluation.json").read_text())))
            )
    lines = ["| | " + " | ".join(name for name, _ in results) + " |", "|---" * (len(results) + 1) + "|"]
    lines += [
        f"| {head} | " + " | ".join(cells[place] for _, cells in results) + " |" for place, head in enumerate(HEADS)
    ]
    table = "\n".join(lines) + "\n"
    (arguments.output / "table.md").write_text(table)
    sys.stdout.write(table)


if __name__ == "__main__":
    main()
