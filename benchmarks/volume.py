"""What a scan costs around its networks, stage by stage: `OMP_NUM_THREADS=1 python -m benchmarks.volume`.

Made-up scans (an ellipsoid of noise in .nii.gz with 16 bits, a CT, a radiograph) go through `qfae predict`, `qfae
evaluate`'s run and the first start of a training, with a tiny model that is trained for one epoch before. Figures are
processor seconds in a process of its own each, without start-up; peaks are of the whole process. What of them is the
networks', and what each stage takes, is measured in this process. `--beside CHECKOUT` measures another checkout of
this project by turns, in the same run. `--stand-in` scores ten CTs with networks that sleep 1/600 s a slice.
"""

# ruff: noqa: PLC0415 (torch is imported where it is measured: start-up and peak are those of other processes)

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]
STUDIES = {"64 x 64 x 24": (64, 64, 24), "240 x 240 x 155": (240, 240, 155), "CT of 512 x 512 x 300": (512, 512, 300)}
RADIOGRAPH, EVALUATION, START = "radiograph of 3000 x 2500", "evaluating 4 of 240 x 240 x 155", "first start, 6 volumes"
SLICES_PER_S = 600  # of the stand-in
EVALUATE = """
import sys, time, qfae_monai.evaluation, qfae_monai.anomaly, qfae_monai.training
from pathlib import Path
from qfae_monai.model.bundle import Bundle
model, data, out = sys.argv[1:]
files = [Path(model) / "configs/training.yaml", "evaluate"]
keys = {"bundle_root": model, "model_dir": model, "dataset_dir": data, "output_dir": out, "num_workers": 0}
begin = time.process_time()
Bundle(files, {**keys, "device": "$torch.device('cpu')"}).run("evaluating", quiet=True)
print("seconds", time.process_time() - begin)
"""
PREDICT = """
import sys, time
from pathlib import Path
from qfae_monai.predict import cohort
from qfae_monai.predict.model import Model
from qfae_monai.predict.studies import find_studies
model, out = Model(Path(sys.argv[1]), settings={"device": "$torch.device('cpu')"}), Path(sys.argv[2])
for number, source in enumerate(sys.argv[3:]):  # the first loads what is loaded when it is needed
    (out / str(number)).mkdir()
    studies, begin, outcomes = find_studies(Path(source)), time.process_time(), []
    if hasattr(cohort, "predict_studies"):
        cohort.predict_studies(studies, model, out / str(number), lambda _, outcome: outcomes.append(outcome))
    else:  # of a checkout without a pipeline
        outcomes += [cohort.predict_study(study, model, out / str(number)) for study in studies]
    assert [outcome.status for outcome in outcomes] == ["done"], outcomes
print("seconds", time.process_time() - begin)
"""
MODEL = """
import sys
from qfae_monai.model.bundle import Bundle
keys = {"preset": "tiny", "dataset_dir": sys.argv[1], "model_dir": sys.argv[2], "max_epochs": 1, "val_interval": 1}
Bundle(["train"], keys).run("training", quiet=True)
Bundle(["train", "evaluate", "calibrate"], keys).run("calibrating", quiet=True)
"""
IMAGES = """
import sys
from pathlib import Path
from qfae_monai.model.importing import import_checkpoint
import_checkpoint(Path(sys.argv[1]), Path(sys.argv[2]), ["train", "datasets/bmad"], {"preset": "tiny"})
"""
BEGIN = """
import sys, time
from pathlib import Path
from qfae_monai.data import SliceDataset
from qfae_monai.model.bundle import Bundle
load = Bundle(["train"], {"preset": "tiny"}).part("load_volume")
entries = [{"image": str(path), "image_label": 0} for path in sorted(Path(sys.argv[1]).glob("*.nii.gz"))]
begin = time.process_time()
SliceDataset(entries, load, normal_only=True)
print("seconds", time.process_time() - begin)
"""


def write_scan(path: Path, shape: tuple[int, ...], *, seed: int = 0, lesion: bool | None = None) -> None:
    """An ellipsoid of noise, or a CT with noisy air where it has 300 slices; with a mask beside it where asked for."""
    import nibabel as nib
    import numpy as np

    x, y, z = np.ogrid[tuple(slice(-1, 1, side * 1j) for side in shape)]
    random = np.random.default_rng(seed)
    if shape[2] == 300:
        image = np.where(x**2 + y**2 < 0.8, random.normal(40, 30, shape), random.normal(-1000, 8, shape))
    else:
        image = random.normal(600, 60, shape) * (x**2 + y**2 + z**2 < 0.8)
    ball = (x - 0.3) ** 2 + (y - 0.2) ** 2 + z**2 < (0.02 if lesion else 0)
    grid = np.diag([-1.0, -1.0, 1.0, 1.0])
    nib.save(nib.Nifti1Image(np.where(ball, 1100, image).astype(np.int16), grid), path)
    if lesion is not None:
        nib.save(nib.Nifti1Image(ball.astype(np.uint8), grid), path.with_name(f"mask-{path.name}"))


def make(folder: Path) -> None:
    """All inputs but the models."""
    import numpy as np
    from PIL import Image

    from qfae_monai.data.phantoms import write_phantom_cohort

    for name in ("phantoms", "six", "four"):
        (folder / name).mkdir()
    write_phantom_cohort(folder / "phantoms", train=8, validation=4, test_normal=1, test_abnormal=1, seed=0)
    for name, shape in STUDIES.items():
        write_scan(folder / f"{name}.nii.gz", shape)
    y, x = np.ogrid[-1:1:3000j, -1:1:2500j]
    noise = np.random.default_rng(0).normal(0, 6, (3000, 2500))
    Image.fromarray((120 + 60 * np.cos(3 * x) * np.cos(2 * y) + noise).astype(np.uint8)).save(
        folder / f"{RADIOGRAPH}.png"
    )
    for number in range(6):
        write_scan(folder / f"six/{number}.nii.gz", (240, 240, 155), seed=number)
    lists = json.loads((folder / "phantoms/dataset.json").read_text())
    for section in ("training", "validation"):
        for entry in lists[section]:
            entry.update({key: str(folder / "phantoms" / entry[key]) for key in ("image", "label") if key in entry})
    lists["test"] = []
    for number in range(4):
        write_scan(folder / f"four/{number}.nii.gz", (240, 240, 155), seed=number, lesion=number > 1)
        lists["test"].append({"image": f"{number}.nii.gz", "label": f"mask-{number}.nii.gz", "patient": f"p{number}"})
    (folder / "four/dataset.json").write_text(json.dumps(lists))


def run(checkout: Path, arguments: Sequence[str]) -> tuple[float, str]:
    """Peak MB of a Python process with a checkout's package, and what it printed."""
    with tempfile.TemporaryFile("w+") as printed, tempfile.TemporaryFile("w+") as said:
        child = subprocess.Popen([sys.executable, *arguments], cwd=checkout, stdout=printed, stderr=said)
        _, status, used = os.wait4(child.pid, 0)
        printed.seek(0)
        said.seek(0)
        if os.waitstatus_to_exitcode(status):
            raise SystemExit(f"{checkout}: expected exit code 0 of {arguments[0]}, got {said.read()[-2000:]}")
        return used.ru_maxrss / 1024, printed.read()


def measured(checkout: Path, work: str, folder: Path) -> tuple[float, float]:
    """Processor seconds without start-up, and peak MB in all."""
    with tempfile.TemporaryDirectory() as out:
        if work == START:
            code, given = BEGIN, [folder / "six"]
        elif work == EVALUATION:
            code, given = EVALUATE, [folder / "model", folder / "four", out]
        else:
            source = next(folder.glob(f"{work}.*"))
            first = source if work == RADIOGRAPH else folder / "64 x 64 x 24.nii.gz"
            model = folder / "model"
            if work == RADIOGRAPH:  # of each checkout's own configurations
                model = Path(out) / "images"
                run(checkout, ["-c", IMAGES, str(folder / "model/models/model.pt"), str(model)])
            code, given = PREDICT, [model, out, first, source]
        peak, text = run(checkout, ["-c", code, *map(str, given)])
        return float(text.split("seconds")[-1]), peak


def stages(source: Path, model: Path) -> dict[str, float]:
    """Processor seconds of one study by stage, in this process; the networks' among them."""
    from qfae_monai.predict import study_steps
    from qfae_monai.predict.model import Model
    from qfae_monai.predict.studies import Study, find_studies

    seconds: dict[str, float] = defaultdict(float)

    def watch(thing: Any, name: str, stage: str) -> None:
        function: Callable[..., Any] = getattr(thing, name)

        def timed(*arguments: Any, **options: Any) -> Any:
            begin = time.process_time()
            try:
                return function(*arguments, **options)
            finally:
                seconds[stage] += time.process_time() - begin

        setattr(thing, name, timed)

    scored = Model(model, settings={"device": "$torch.device('cpu')"})
    watch(Study, "identity", "hash")
    watch(study_steps, "opened", "read, check")
    watch(scored, "prepared", "count, choose slices")
    watch(scored.inferer, "resize", "resize")
    watch(scored, "network", "networks")
    watch(scored.inferer.scorer, "forward", "networks")
    watch(scored.inferer, "_on_grid", "map to the slices' size")
    watch(scored, "prediction", "map to the input's grid, mask")
    watch(study_steps, "save_image", "write image")
    watch(study_steps, "save_volume", "write map, mask")
    watch(study_steps, "overlay_png", "draw overlay")
    with tempfile.TemporaryDirectory() as out:
        steps = study_steps.StudySteps(scored, Path(out), allow=(), dicom=None, progress=lambda *_: None)
        begin = time.process_time()
        outcome = steps.write(steps.score(steps.read(find_studies(source)[0])))
        whole = time.process_time() - begin
    assert outcome.status == "done", outcome
    return {**seconds, "other": whole - sum(seconds.values()), "whole": whole}


def roofs(source: Path) -> dict[str, float]:
    """Processor seconds of what no program could leave out: bytes inflated, a map of noise deflated, one pass each."""
    import hashlib

    import numpy as np
    from isal import isal_zlib

    packed = source.read_bytes()
    stored = np.frombuffer(isal_zlib.decompress(packed, 31), np.int16, offset=352)
    noise = (
        np.random.default_rng(0).random(len(stored) // 8, np.float32).repeat(8)
    )  # as smooth as a map that was resized
    compressor = isal_zlib.compressobj(2, isal_zlib.DEFLATED, 31)
    acts: dict[str, Callable[[], Any]] = {
        "hash": lambda: hashlib.sha256(packed).digest(),
        "read, check": lambda: isal_zlib.decompress(packed, 31),
        "count, choose slices": lambda: np.bincount(stored.astype(np.int64) + 2000),
        "map to the input's grid, mask": lambda: noise.copy() > 0.5,
        "write image": lambda: isal_zlib.compress(stored.tobytes(), 2),
        "write map, mask": lambda: compressor.compress(noise.tobytes()),
    }
    found = {}
    for stage, act in acts.items():
        begin = time.process_time()
        act()
        found[stage] = time.process_time() - begin
    return found


def stand_in(folder: Path, count: int = 10) -> None:
    """Seconds of a cohort of CTs whose networks only take time, and the processor's share of them."""
    import torch

    from qfae_monai.anomaly import AnomalyResult
    from qfae_monai.files.cores import spare_cores
    from qfae_monai.predict.cohort import predict_studies
    from qfae_monai.predict.model import Model
    from qfae_monai.predict.studies import find_studies

    model = Model(folder / "model", settings={"device": "$torch.device('cpu')"})

    def network(images: Any) -> Any:
        time.sleep(len(images) / SLICES_PER_S)
        return images

    model.network = network
    model.inferer.scorer.forward = lambda image, _: AnomalyResult(image.abs(), torch.ones(len(image)))
    cohort = folder / "cohort"
    cohort.mkdir()
    for number in range(count):
        os.link(folder / "CT of 512 x 512 x 300.nii.gz", cohort / f"{number}.nii.gz")
    cores, used, begin = len(os.sched_getaffinity(0)), time.process_time(), time.perf_counter()
    outcomes: list[Any] = []
    with tempfile.TemporaryDirectory() as out:
        studies = find_studies(cohort)
        predict_studies(studies, model, Path(out), lambda _, outcome: outcomes.append(outcome), workers=spare_cores())
    assert [outcome.status for outcome in outcomes] == ["done"] * count, outcomes
    used, wall = time.process_time() - used, time.perf_counter() - begin
    print(
        f"\n{count} CTs, networks of {SLICES_PER_S} slices/s: {wall:.1f} s; processor {used:.1f} s on {cores} cores, "
        f"{wall * cores / used:.2f} times its share"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--beside", type=Path, help="another checkout, measured by turns")
    parser.add_argument("--make", type=Path, help=argparse.SUPPRESS)  # how this command calls itself
    parser.add_argument("--stand-in", action="store_true", help="also score ten CTs with networks that sleep")
    parser.add_argument(
        "--works", nargs="+", choices=(works := [*STUDIES, RADIOGRAPH, EVALUATION, START]), default=works
    )
    arguments = parser.parse_args()
    if arguments.make:
        make(arguments.make)
        return
    checkouts = [*([arguments.beside.resolve()] if arguments.beside else []), ROOT]
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        # apart, for the peak of a process is not below that of the one that starts it
        run(ROOT, ["-m", "benchmarks.volume", "--make", name])
        # a model of the older checkout, which the newer one reads
        run(checkouts[0], ["-c", MODEL, str(folder / "phantoms"), str(folder / "model")])
        print(
            f"{len(os.sched_getaffinity(0))} cores, load {os.getloadavg()[0]:.1f}; processor seconds without start-up\n"
        )
        columns = [f"{path.name}: seconds | peak MB" for path in checkouts]
        print(f"| work | {' | '.join(columns)} |\n|---{'|---|---' * len(checkouts)}|", flush=True)
        for work in arguments.works:
            cells = [
                f"{seconds:.2f} | {peak:.0f}" for seconds, peak in (measured(path, work, folder) for path in checkouts)
            ]
            print(f"| {work} | {' | '.join(cells)} |", flush=True)
        tables = {
            work: stages(folder / f"{work}.nii.gz", folder / "model") for work in STUDIES if work in arguments.works
        }
        names = dict.fromkeys(stage for table in tables.values() for stage in table)
        floors = {work: roofs(folder / f"{work}.nii.gz") for work in tables}
        print(f"\n| stage | {' | '.join(f'{work} | roof' for work in tables)} |\n|---{'|---|---' * len(tables)}|")
        for stage in names:
            cells = [f"{tables[work].get(stage, 0):.2f} | {floors[work].get(stage, 0):.2f}" for work in tables]
            print(f"| {stage} | {' | '.join(cells)} |")
        if arguments.stand_in:
            stand_in(folder)


if __name__ == "__main__":
    main()
