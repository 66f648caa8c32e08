"""Train and evaluate the bundle on six real patients: `python benchmarks/brats2015.py FOLDER OUTPUT`.

FOLDER holds `train|validation|test/PATIENT/` with `Flair_subtrMeanDivStd.nii.gz`, `T1c_subtrMeanDivStd.nii.gz`,
`OTMultiClass.nii.gz` (tumour) and `brainmask.nii.gz`, as in the BraTS 2015 sample of DeepMedic. For each sequence and
each of three patient-disjoint splits: tumour-free slices of four patients to train, slices 30..124 of the other two to
test. Prints a table beside trivial features; writes it to OUTPUT/table.md.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
from pathlib import Path

from monai.bundle import run

from qfae_monai.report.demo import read_metrics

CONFIGS = Path(__file__).parents[1] / "bundles" / "qfae" / "configs"
SEQUENCES = {"FLAIR": ("Flair_subtrMeanDivStd", None), "T1c equalised": ("T1c_subtrMeanDivStd", "brats2015_equalised")}
SPLITS = 3
COLUMNS = (
    "image_auroc", "pixel_ap", "trivial_p99", "trivial_mean", "trivial_std", "trivial_max",
    "trivial_foreground_area", "trivial_pixel_ap",
)  # fmt: skip


def write_datalist(folder: Path, path: Path, image: str, split: int) -> None:
    """Patients 2k and 2k + 1 of the sorted six to the test section, the other four to training and validation."""
    patients = sorted(folder.glob("*/*/OTMultiClass.nii.gz"), key=lambda mask: mask.parent.name)
    if len(patients) != 2 * SPLITS:
        raise ValueError(f"{folder}: expected six patients with OTMultiClass.nii.gz, got {len(patients)}")
    entries = [
        {
            "image": os.path.relpath(mask.parent / f"{image}.nii.gz", path.parent),
            "label": os.path.relpath(mask, path.parent),
            "mask": str((mask.parent / "brainmask.nii.gz").resolve()),
            "case": mask.parent.name,
        }
        for mask in patients
    ]
    test = entries[2 * split : 2 * split + 2]
    rest = [entry for entry in entries if entry not in test]
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps({"training": rest, "test": test}, indent=1))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("output", type=Path)
    parser.add_argument("--epochs", type=int, default=40)
    parser.add_argument("--splits", type=int, choices=range(1, SPLITS + 1), default=SPLITS, help="the first of them")
    arguments = parser.parse_args()
    lines = ["| sequence | split | " + " | ".join(COLUMNS) + " |", "|---" * (len(COLUMNS) + 2) + "|"]
    for sequence, (image, overlay) in SEQUENCES.items():
        for split in range(arguments.splits):
            work = arguments.output / f"{image}-{split}"
            write_datalist(arguments.folder.resolve(), work.resolve() / "dataset.json", image, split)
            names = ["train", "presets/tiny", "datasets/brats2015", *([f"datasets/{overlay}"] if overlay else [])]
            settings = {
                "bundle_root": str(CONFIGS.parent), "meta_file": str(CONFIGS / "metadata.json"),
                "logging_file": str(CONFIGS / "logging.conf"), "dataset_dir": str(work),
                "ckpt_dir": str(work / "model"),
                "output_dir": str(work / "evaluation"), "log_dir": str(work / "logs"), "max_epochs": arguments.epochs,
            }  # fmt: skip
            run(run_id="training", config_file=[str(CONFIGS / f"{name}.json") for name in names], **settings)
            names.append("evaluate")
            run(run_id="evaluating", config_file=[str(CONFIGS / f"{name}.json") for name in names], **settings)
            metrics = read_metrics(work / "evaluation")
            lines.append(f"| {sequence} | {split} | " + " | ".join(f"{metrics[key]:.2f}" for key in COLUMNS) + " |")
    table = "\n".join(lines) + "\n"
    (arguments.output / "table.md").write_text(table)
    sys.stdout.write(table)


if __name__ == "__main__":
    main()
