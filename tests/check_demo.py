"""Check of a finished demo: `python tests/check_demo.py demo/summary.json` fails unless its numbers are good enough."""

from __future__ import annotations

import json
import sys
from pathlib import Path

LEAST_IMAGE_AUROC = 0.90
MOST_TRIVIAL_AUROC = 0.75
MOST_SECONDS = 600
MOST_MEMORY_MB = 6 * 1024


def problems(summary: dict) -> list[str]:
    """What is not as it must be, in words."""
    found = []
    if summary["image_auroc"] < LEAST_IMAGE_AUROC:
        found.append(f"image AUROC {summary['image_auroc']:.3f} is below {LEAST_IMAGE_AUROC}")
    for name, value in summary["trivial"].items():
        if value > MOST_TRIVIAL_AUROC:
            found.append(f"{name} alone separates the data: AUROC {value:.3f}")
    if summary["seconds"] > MOST_SECONDS:
        found.append(f"it took {summary['seconds']} s, more than {MOST_SECONDS}")
    if summary["peak_memory_mb"] > MOST_MEMORY_MB:
        found.append(f"it took {summary['peak_memory_mb']} MB, more than {MOST_MEMORY_MB}")
    return found


if __name__ == "__main__":
    folder = Path(sys.argv[1]).parent
    wrong = problems(json.loads(Path(sys.argv[1]).read_text()))
    maps = len(list((folder / "evaluation").glob("*_anomaly_map.nii.gz")))
    shown = [folder / "montage.png", folder / "evaluation" / "report.html", folder / "model" / "calibration.json"]
    missing = [str(path) for path in shown if not path.is_file()]
    if not maps or missing:
        wrong.append(f"{folder}: expected anomaly maps and {len(shown)} files, found {maps} maps, missing {missing}")
    sys.stdout.write("demo check: " + ("; ".join(wrong) or "passed") + "\n")
    sys.exit(bool(wrong))
