"""Whole runs over cohorts with one damaged file: `python -m benchmarks.mutants --model demo/model --count 10000`.

Each cohort has 49 good studies (DICOM series, NIfTI, NRRD, MetaImage and PNG of 32 pixels, made here) and one mutant:
one of the same files, mutated as in `benchmarks/fuzz_reader.py`. `qfae predict` and `preprocessing.volumes` run over it
in this process as their commands do, into an output that keeps what is done; the model alone is loaded once for all.
What counts as a failure: a run ends with an error of the program or without its summary, or a good study is not done.
Mutant n of a seed is the same on every run; `--start N` goes on behind those that ran.
"""

from __future__ import annotations

import argparse
import csv
import logging
import shutil
import sys
import tempfile
import time
import warnings
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pydicom
import SimpleITK as sitk
from PIL import Image
from pydicom.dataset import FileDataset, FileMetaDataset
from pydicom.uid import ExplicitVRLittleEndian, MRImageStorage, generate_uid
from typer.testing import CliRunner, Result

from benchmarks.fuzz_reader import MUTATIONS, mutate, write_nifti_seeds

GOOD = 49  # studies
SIDE, SLICES = 32, 6  # pixels, and slices, of which the demo's model scores those from number 3 on
VOLUMES = (".nii", ".nii.gz", ".nrrd", ".mha")
COMMANDS = ("predict", "volumes")


def write_dicom(folder: Path, random: np.random.Generator, number: int) -> list[Path]:
    """A series of three slices with all that a header may hold of a patient."""
    uid, files = generate_uid(entropy_srcs=[f"series {number}"]), []
    for place in range(SLICES):
        pixels = random.integers(0, 999, (SIDE, SIDE)).astype(np.uint16)
        meta = FileMetaDataset()
        meta.MediaStorageSOPClassUID = MRImageStorage
        meta.MediaStorageSOPInstanceUID = generate_uid(entropy_srcs=[f"{number} {place}"])
        meta.TransferSyntaxUID = ExplicitVRLittleEndian
        dataset = FileDataset("", {}, file_meta=meta, preamble=b"\0" * 128)
        elements: dict[str, Any] = {
            "SOPClassUID": meta.MediaStorageSOPClassUID,
            "SOPInstanceUID": meta.MediaStorageSOPInstanceUID,
            "StudyInstanceUID": f"{uid}.1",
            "SeriesInstanceUID": uid,
            "Modality": "MR",
            "SeriesNumber": number,
            "PatientID": f"ID-{number:06d}",
            "PatientName": f"Doe^Jane {number}",
            "PatientBirthDate": "19610317",
            "SeriesDescription": "FLAIR",
            "InstitutionName": "St. Elsewhere",
            "InstanceNumber": place + 1,
            "Rows": SIDE,
            "Columns": SIDE,
            "SamplesPerPixel": 1,
            "PhotometricInterpretation": "MONOCHROME2",
            "BitsAllocated": 16,
            "BitsStored": 16,
            "HighBit": 15,
            "PixelRepresentation": 0,
            "PixelSpacing": [1, 1],
            "ImageOrientationPatient": [1, 0, 0, 0, 1, 0],
            "ImagePositionPatient": [0, 0, 5 * place],
            "PixelData": pixels.tobytes(),
        }
        for keyword, value in elements.items():
            setattr(dataset, keyword, value)
        files.append(folder / f"{place}.dcm")
        folder.mkdir(parents=True, exist_ok=True)
        dataset.save_as(files[-1], enforce_file_format=True)
    return files


def write_study(folder: Path, random: np.random.Generator, number: int) -> list[Path]:
    """A good study of the kind whose turn it is; three of four are DICOM."""
    if number % 4:
        return write_dicom(folder, random, number)
    folder.mkdir(parents=True)
    suffix = (*VOLUMES, ".png")[number // 4 % 5]
    path = folder / f"scan{suffix}"
    pixels = random.integers(0, 999, (SLICES, SIDE, SIDE)).astype(np.int16)
    if suffix == ".png":
        Image.fromarray((pixels[0] // 4).astype(np.uint8)).save(path)
    else:
        sitk.WriteImage(sitk.GetImageFromArray(pixels), str(path))
    return [path]


def write_mutant(seeds: Path, folder: Path, seed: int, number: int) -> None:
    """Mutant ``number``: a study of which one file is damaged."""
    random = np.random.default_rng([seed, number])
    shutil.rmtree(folder, ignore_errors=True)
    files = sorted(seeds.iterdir())
    chosen = files[int(random.integers(len(files)))]
    if chosen.is_dir():
        shutil.copytree(chosen, folder)
        damaged = sorted(folder.iterdir())[int(random.integers(SLICES))]
    else:
        folder.mkdir()
        damaged = folder / chosen.name
        shutil.copy(chosen, damaged)
    if damaged.suffix == ".png":
        damaged.write_bytes(MUTATIONS[int(random.integers(5))](bytearray(damaged.read_bytes()), random))
    else:
        damaged.write_bytes(mutate(damaged, random))


def write_seeds(folder: Path) -> None:
    """What is mutated: two series in folders, and files of each other kind."""
    random = np.random.default_rng(1)
    folder.mkdir()
    for number in (1001, 1002, 1003):
        write_dicom(folder / f"series{number}", random, number)
    for number in (0, 4, 8, 12, 16):
        (file,) = write_study(folder / "one", random, number)
        file.rename(folder / f"seed{number}{''.join(file.suffixes)}")
        (folder / "one").rmdir()
    write_nifti_seeds(folder)


def predictions(model: Path) -> Callable[[Path, Path], tuple[Result, set[str]]]:
    """`qfae predict` over a folder; the model is loaded once. Gives the result, and the studies that are done."""
    from qfae_monai.cli import app  # noqa: PLC0415 (the package is loaded when there is a model)
    from qfae_monai.cli import predict as command  # noqa: PLC0415

    kept: list[Any] = []
    load = sys.modules[command.__module__]._model

    def once(*arguments: Any) -> Any:
        if not kept:
            kept.append(load(*arguments))
        return kept[0]

    sys.modules[command.__module__]._model = once  # type: ignore[attr-defined]

    def run(folder: Path, output: Path) -> tuple[Result, set[str]]:
        (output / "summary.csv").unlink(missing_ok=True)
        arguments = ["predict", "-i", folder, "-o", output, "-m", model]
        result = CliRunner().invoke(app, [str(argument) for argument in arguments])
        return result, _column(output / "summary.csv", "study", {"done", "kept"})

    return run


def preparation(folder: Path, output: Path) -> tuple[Result, set[str]]:
    """`preprocessing.volumes` over a folder. Gives the result, and the series that are in the manifest."""
    from preprocessing.volumes import app  # noqa: PLC0415

    (output / "manifest.csv").unlink(missing_ok=True)
    options = ["--normal", "--patient", "study[0-9]+|mutant", "--fractions", "1", "0", "0"]
    result = CliRunner().invoke(app, [str(folder), str(output), *options])
    return result, _column(output / "manifest.csv", "series")


def _column(table: Path, name: str, statuses: set[str] | None = None) -> set[str]:
    if not table.is_file():
        return set()
    with table.open(newline="") as stream:
        return {row[name] for row in csv.DictReader(stream) if statuses is None or row["status"] in statuses}


def attack(
    run: Callable[[Path, Path], tuple[Result, set[str]]],
    place: Path,
    *,
    count: int,
    seed: int = 0,
    start: int = 0,
    progress: int = 0,
    seconds: float = float("inf"),
) -> tuple[Counter[str], list[str]]:
    """Run over ``count`` cohorts, or as many as there is time for.

    Returns:
        Runs by outcome (`all done`, `mutant refused`, `dead`, `good not done`), and a line on each failure.
    """
    cohort, output, begun = place / "cohort", place / "output", time.monotonic()
    for number in range(GOOD):
        write_study(cohort / f"study{number}", np.random.default_rng([seed, 10**6 + number]), number)
    write_seeds(place / "seeds")
    first, good = run(cohort, output)
    if _died(first) or len(good) < GOOD // 2:
        raise SystemExit(f"expected good studies to be done, got: {first.output}{first.exception!r}")
    counts: Counter[str] = Counter()
    failures = []
    for number in range(start, start + count):
        if time.monotonic() - begun > seconds:
            break
        write_mutant(place / "seeds", cohort / "mutant", seed, number)
        result, done = run(cohort, output)
        outcome = "all done" if result.exit_code == 0 else "mutant refused"
        if _died(result):
            outcome = "dead"
        elif good - done:
            outcome = "good not done"
        if outcome in ("dead", "good not done"):
            failures.append(f"mutant {number}: {outcome}: {result.exception!r} {sorted(good - done)[:3]}")
        counts[outcome] += 1
        if progress and counts.total() % progress == 0:
            print(f"{number + 1}: {dict(counts)}", file=sys.stderr, flush=True)
    return counts, failures


def _died(result: Result) -> bool:
    return result.exception is not None and not isinstance(result.exception, SystemExit)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("-m", "--model", type=Path, default=Path("demo/model"))
    parser.add_argument("--count", type=int, default=10_000, help="mutants, and as many runs of each command")
    parser.add_argument("--seconds", type=float, default=float("inf"), help="after which a command gets no more")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--start", type=int, default=0)
    parser.add_argument("--only", choices=COMMANDS)
    arguments = parser.parse_args()
    warnings.simplefilter("ignore")
    logging.getLogger("pydicom").setLevel(logging.CRITICAL)
    pydicom.config.settings.reading_validation_mode = pydicom.config.WARN
    failures: list[str] = []
    print("| command | runs | all done | mutant refused | dead | good not done | seconds |\n" + "|---" * 7 + "|")
    for name in COMMANDS if arguments.only is None else (arguments.only,):
        begun = time.monotonic()
        run: Callable[[Path, Path], tuple[Any, set[str]]] = preparation
        if name == "predict":
            run = predictions(arguments.model)
        with tempfile.TemporaryDirectory(prefix="qfae-mutants-") as place:
            counts, failed = attack(
                run,
                Path(place),
                count=arguments.count,
                seed=arguments.seed,
                start=arguments.start,
                progress=100,
                seconds=arguments.seconds,
            )
        columns = (counts[word] for word in ("all done", "mutant refused", "dead", "good not done"))
        cells = [name, counts.total(), *columns, round(time.monotonic() - begun)]
        print("| " + " | ".join(map(str, cells)) + " |", flush=True)
        failures += [f"{name}: {line}" for line in failed]
    print("\n".join(failures))
    raise SystemExit(bool(failures))


if __name__ == "__main__":
    main()
