"""What a number format does to a training: trained and evaluated in it, seed by seed: `python -m benchmarks.formats`.

    python -m benchmarks.formats demo/data OUTPUT                                    # after `make demo`
    python -m benchmarks.formats demo/data OUTPUT --parts                            # each part alone in bfloat16
    python -m benchmarks.formats CHEST OUTPUT --overlays datasets/bmad benchmarks/formats_dinov2.yaml \
        --set weights_file=FILE

DATA is what `dataset_dir` names; overlays follow train.yaml. A GPU, where there is one, computes in its own formats. On
a CPU, a format that it lacks is emulated (benchmarks/emulation.py): its figures are the format's, its time says nothing
and is left out. Each run has a folder of its own in OUTPUT, and what is complete there is not run again, so formats and
seeds may also run at the same time, in processes of their own. One thread, so that a run on a CPU repeats to the last
bit.
"""

from __future__ import annotations

import argparse
import json
import statistics
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager
from pathlib import Path
from typing import Any

import torch

from benchmarks.emulation import EmulatedProducts, float16_on_cpu, part_in
from qfae_monai.experiments.seed_run import MODEL, train_once
from qfae_monai.model.bundle import Bundle, parse_settings
from qfae_monai.model.folder import NETWORK
from qfae_monai.networks.decoder import PatchDecoder
from qfae_monai.networks.encoders import FrozenViT
from qfae_monai.networks.precision import cpu_has_bfloat16
from qfae_monai.networks.qformer import CrossAttention, MultiQuerySelfAttention, QueryMLP
from qfae_monai.training.training_record import read_training

FORMATS = ("float32", "tf32", "bfloat16", "float16")
PARTS: dict[str, tuple[type, ...]] = {
    "encoder": (FrozenViT,),
    "self-attention of the queries": (MultiQuerySelfAttention,),
    "cross-attention": (CrossAttention,),
    "MLP of the Q-Former": (QueryMLP,),
    "decoder": (PatchDecoder,),
}
FIGURES = (("slice", "auroc"), ("volume", "auroc"), ("pixel", "average_precision"), ("image", "auroc"))


def has_bfloat16(device: torch.device) -> bool:
    """Whether times in bfloat16 are the device's own."""
    return device.type != "cpu" or cpu_has_bfloat16()


@contextmanager
def in_format(name: str, device: torch.device) -> Iterator[dict[str, Any]]:
    """What a run in this format needs around it, and the bundle's settings for it: on a GPU, the format alone."""
    if device.type != "cpu":
        yield {"precision": name}
        return
    with ExitStack() as stack:
        if name == "tf32" or (name != "float32" and not cpu_has_bfloat16()) or name == "float16":
            stack.enter_context(EmulatedProducts(tf32=name == "tf32"))
        if name == "float16":
            stack.enter_context(float16_on_cpu())
        yield {"precision": "float32" if name == "tf32" else name}


@contextmanager
def in_part(name: str, device: torch.device) -> Iterator[dict[str, Any]]:
    """As `in_format`, with one part in bfloat16 and all others in float32."""
    with ExitStack() as stack:
        if not has_bfloat16(device):
            stack.enter_context(EmulatedProducts())
        if name in PARTS:
            stack.enter_context(part_in(PARTS[name], torch.bfloat16, device.type))
        both = {"loss_def::precision": "bfloat16", "score_distance::precision": "bfloat16"}
        yield {"precision": "float32", **(both if name == "perceptual distance" else {})}


def figures(folder: Path, overlays: Sequence[str | Path], settings: Mapping[str, Any]) -> dict[str, float]:
    """Train and evaluate into a folder, unless that is done: figures by name."""
    done = folder / "figures.json"
    if not done.is_file():
        train_once(folder, overlays, settings)
        places = {
            "model_dir": str(folder / MODEL),
            "output_dir": str(folder / "evaluation"),
            "rivals": None,
            "save_maps": False,
            "save_pictures": False,
        }
        Bundle([*overlays, "evaluate"], {**places, **settings}).run("evaluating")
        metrics = json.loads((folder / "evaluation" / "evaluation.json").read_text())["metrics"]
        found = {f"{level} {name}": metrics[level][name]["value"] for level, name in FIGURES if level in metrics}
        record = read_training(folder / MODEL / NETWORK) or {"held_out": {"distance": None}}
        found["held-out distance"] = record["held_out"]["distance"]
        found["seconds"] = json.loads((folder / "trained.json").read_text())["seconds"]
        done.write_text(json.dumps(found))
    return {name: value for name, value in json.loads(done.read_text()).items() if value is not None}


def table(rows: Mapping[str, Sequence[Mapping[str, float]]]) -> str:
    """Mean over seeds and, in parentheses, each seed; a row a format or part."""
    names = [name for name in next(iter(rows.values()))[0] if name != "seconds"]
    lines = ["| | " + " | ".join(names) + " |", "|---" * (1 + len(names)) + "|"]
    for row, runs in rows.items():
        cells = []
        for name in names:
            values = [run[name] for run in runs]
            digits = 2 if name == "held-out distance" else 3
            shown = [f"{value:.{digits}g}" if digits == 2 else f"{value:.3f}" for value in values]
            mean = statistics.fmean(values)
            average = f"{mean:.2g}" if digits == 2 else f"{mean:.3f}"
            cells.append(average if len(runs) == 1 else f"{average} ({', '.join(shown)})")
        lines.append(f"| {row} | " + " | ".join(cells) + " |")
    return "\n".join(lines)


def runs_of(given: argparse.Namespace) -> list[tuple[str, AbstractContextManager[dict[str, Any]], int]]:
    """Name, what it needs around it, and seed of each run."""
    if given.parts:
        parts = [(name, in_part(name, given.device), given.seeds[0]) for name in (*PARTS, "perceptual distance")]
        return [("all in float32", in_format("float32", given.device), given.seeds[0]), *parts]
    return [(name, in_format(name, given.device), seed) for name in given.formats for seed in given.seeds]


def settings_of(given: argparse.Namespace) -> dict[str, Any]:
    """What the command line says of the configuration; values are JSON or text."""
    always = {"preset": "tiny", "dataset_dir": str(given.data), "num_workers": 0}
    return {**always, "device": f"$torch.device({str(given.device)!r})", **parse_settings(given.set)}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path)
    parser.add_argument("output", type=Path)
    parser.add_argument(
        "--overlays", nargs="+", default=["datasets/phantoms"], help="names of the bundle's, or .yaml files"
    )
    parser.add_argument("--formats", nargs="+", choices=FORMATS, default=["float32", "bfloat16"])
    parser.add_argument("--seeds", nargs="+", type=int, default=[0, 1, 2])
    parser.add_argument("--parts", action="store_true", help="each part alone in bfloat16, with the first seed")
    parser.add_argument(
        "--device",
        type=torch.device,
        default="cuda" if torch.cuda.is_available() else "cpu",
        help="default: %(default)s",
    )
    parser.add_argument("--set", action="append", default=[], metavar="KEY=VALUE", help="of the configuration")
    given = parser.parse_args()
    torch.set_num_threads(1)
    overlays = [Path(name) if name.endswith(".yaml") else name for name in given.overlays]
    rows: dict[str, list[dict[str, float]]] = {}
    for name, context, seed in runs_of(given):
        folder = given.output / name.replace(" ", "_") / str(seed)
        with context as needed:
            settings = {**settings_of(given), **needed, "seed": seed}
            rows.setdefault(name, []).append(figures(folder, ["train", *overlays], settings))
        print(f"{name}, seed {seed}: {rows[name][-1]}", flush=True)
    print(table(rows))
    if not given.parts and has_bfloat16(given.device) and {"float32", "bfloat16"} <= set(rows):
        took = [statistics.fmean(run["seconds"] for run in rows[name]) for name in ("float32", "bfloat16")]
        print(f"training in bfloat16 took {took[1] / took[0]:.2f} of float32's time")


if __name__ == "__main__":
    main()
