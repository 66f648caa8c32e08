"""What kept views do to a training, beside one from images, seed by seed: `python -m benchmarks.views`.

    python -m benchmarks.views demo/data OUTPUT                                      # after `make demo`

DATA and the options are as in `benchmarks.formats`. Each run has a folder of its own in OUTPUT, and what is complete
there is not run again; the views of a run are removed when their size is known. One thread.
"""

from __future__ import annotations

import argparse
import json
import shutil
import statistics
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch

from benchmarks.formats import figures, settings_of, table
from qfae_monai.experiments.seed_run import train_once

KEPT = "views"


def measured(folder: Path, overlays: Sequence[str | Path], settings: Mapping[str, Any]) -> dict[str, float]:
    """Train and evaluate into a folder, unless that is done: figures, processor seconds of training and GB of views."""
    done = folder / "spent.json"
    if not done.is_file():
        begin = time.process_time()
        train_once(folder, overlays, settings)
        spent = {"processor seconds": time.process_time() - begin}
        kept = [path for path in folder.rglob("*.safetensors") if KEPT in path.parts]
        spent["GB of views"] = sum(path.stat().st_size for path in kept) / 1e9
        done.write_text(json.dumps(spent))
        for place in {path.parents[1] for path in kept}:
            shutil.rmtree(place)
    return {**figures(folder, overlays, settings), **json.loads(done.read_text())}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path)
    parser.add_argument("output", type=Path)
    parser.add_argument(
        "--overlays", nargs="+", default=["datasets/phantoms"], help="names of the bundle's, or .yaml files"
    )
    parser.add_argument("--views", nargs="+", type=int, default=[0, 4, 16], help="of each image; 0: images themselves")
    parser.add_argument("--seeds", nargs="+", type=int, default=[0, 1, 2])
    parser.add_argument("--set", action="append", default=[], metavar="KEY=VALUE", help="of the configuration")
    given = parser.parse_args()
    torch.set_num_threads(1)
    overlays = ["train", *(Path(name) if name.endswith(".yaml") else name for name in given.overlays)]
    rows: dict[str, list[dict[str, float]]] = {}
    for seed in given.seeds:
        for views in given.views:
            name = f"{views} kept views" if views else "drawn anew"
            settings = {**settings_of(given), "views": views or None, "seed": seed}
            run = measured(given.output / str(views) / str(seed), overlays, settings)
            rows.setdefault(name, []).append(run)
            print(f"{name}, seed {seed}: {run}", flush=True)
    spent = ("processor seconds", "GB of views", "seconds")
    print(
        table({row: [{k: v for k, v in run.items() if k not in spent} for run in runs] for row, runs in rows.items()})
    )
    print("\n| | processor seconds of training | GB of views |\n|---|---|---|")
    for name, runs in rows.items():
        seconds, size = (statistics.fmean(run[key] for run in runs) for key in spent[:2])
        print(f"| {name} | {seconds:.0f} | {size:.2f} |")


if __name__ == "__main__":
    main()
