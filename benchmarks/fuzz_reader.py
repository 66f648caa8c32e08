"""The reader against damaged input: `python benchmarks/fuzz_reader.py FOLDER --count 10000 --seed 0 --seconds 5`.

Files of the folder (DICOM and NIfTI up to 2 MB) and a few small NIfTI, NRRD and MetaImage files made here are mutated:
bytes flipped, blocks overwritten or cut out, ends cut off, length fields made huge, tags removed or made contradictory,
numbers of text headers replaced. Each mutant is
read in a worker process with every risk allowed, first without and then with a volume. What counts as a failure:
the worker dies; a mutant takes longer than the limit (of the worker's own time, as the machine may be busy; six times
as long by the clock); an error other than ValueError comes out; the worker's memory passes 2 GB (a good part of it is
libraries); something is left in its temporary folder.
Mutant n of a seed is the same on every run; `--only N` reads one of them in this process, to look into a failure.
"""

from __future__ import annotations

import argparse
import gzip
import io
import logging
import multiprocessing as mp
import os
import re
import resource
import shutil
import sys
import tempfile
import time
import warnings
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
import pydicom
import SimpleITK as sitk

MAX_SEED_BYTES = 2 << 20
MAX_MEMORY = 2 << 30  # bytes
START_SECONDS = 600  # for a worker to import what it needs
TEXT_HEADERS = (".nrrd", ".mha")
NUMBERS = (b"0", b"-1", b"7", b"65535", b"2147483648", b"99999999999999999999", b"1e30", b"nan", b"")
VALUES: dict[str, Sequence[Any]] = {
    "Rows": (0, 1, 7, 65535),
    "Columns": (0, 1, 9, 65535),
    "NumberOfFrames": (-1, 0, 2, 1000, 2147483647),
    "SamplesPerPixel": (0, 2, 3, 4, 65535),
    "BitsAllocated": (0, 1, 8, 12, 16, 32, 64, 65535),
    "BitsStored": (0, 1, 8, 17, 65535),
    "HighBit": (0, 3, 65535),
    "PixelRepresentation": (0, 1, 7),
    "PlanarConfiguration": (0, 1, 9),
    "PhotometricInterpretation": ("", "RGB", "PALETTE COLOR", "YBR_FULL_422", "MONOCHROME1", "nonsense"),
    "RescaleSlope": (0, 1e30, -2),
    "PixelSpacing": ([0, 0], [1e-30, 1e30], [1]),
    "ImagePositionPatient": ([1e30, 0, 0], [1, 2], [0, 0, 0]),
    "ImageOrientationPatient": ([0] * 6, [1, 0, 0, 1, 0, 0]),
    "PixelPaddingValue": (0, 65535),
    "PerFrameFunctionalGroupsSequence": ([],),
}


def flip(data: bytearray, random: np.random.Generator) -> bytearray:
    """Up to 20 bytes anywhere, or in the first 4 kB."""
    end = len(data) if random.random() < 0.4 else min(len(data), 4096)
    for at in random.integers(0, end, random.integers(1, 20)):
        data[int(at)] ^= int(random.integers(1, 256))
    return data


def truncate(data: bytearray, random: np.random.Generator) -> bytearray:
    return data[: int(random.integers(1, len(data)))]


def cut(data: bytearray, random: np.random.Generator) -> bytearray:
    at = int(random.integers(0, len(data)))
    del data[at : at + int(random.integers(1, 300))]
    return data


def overwrite(data: bytearray, random: np.random.Generator) -> bytearray:
    at, size = int(random.integers(0, len(data))), int(random.integers(1, 300))
    data[at : at + size] = bytes([int(random.choice([0, 255, 65]))]) * min(size, len(data) - at)
    return data


def huge(data: bytearray, random: np.random.Generator) -> bytearray:
    """Four bytes that a reader may take for a length."""
    at = int(random.integers(0, max(1, min(len(data), 4096) - 4)))
    data[at : at + 4] = [b"\xff\xff\xff\xff", b"\xfe\xff\xff\xff", b"\xff\xff\xff\x7f"][int(random.integers(3))]
    return data


def retag(data: bytearray, random: np.random.Generator) -> bytearray:
    """One to three tags of a DICOM file removed or contradictory; other files are flipped."""
    try:
        dataset = pydicom.dcmread(io.BytesIO(bytes(data)), force=True)
        for _ in range(int(random.integers(1, 4))):
            if random.random() < 0.4:
                tags = list(dataset.keys())
                del dataset[tags[int(random.integers(len(tags)))]]
            else:
                keyword = list(VALUES)[int(random.integers(len(VALUES)))]
                values = VALUES[keyword]
                setattr(dataset, keyword, values[int(random.integers(len(values)))])
        written = io.BytesIO()
        pydicom.dcmwrite(written, dataset)
    except Exception:  # what pydicom does not write stays a flipped file
        return flip(data, random)
    return bytearray(written.getvalue())


def renumber(data: bytearray, random: np.random.Generator) -> bytearray:
    """One to three numbers of a text header replaced."""
    for _ in range(int(random.integers(1, 4))):
        found = list(re.finditer(rb"-?\d+(\.\d+)?", data[:400]))
        start, end = found[int(random.integers(len(found)))].span() if found else (0, 0)
        data[start:end] = NUMBERS[int(random.integers(len(NUMBERS)))]
    return data


MUTATIONS: tuple[Callable[[bytearray, np.random.Generator], bytearray], ...] = (
    flip,
    truncate,
    cut,
    overwrite,
    huge,
    retag,
    retag,
)


def mutate(seed_file: Path, random: np.random.Generator) -> bytes:
    """A damaged copy; of .gz files, half are damaged inside of an intact archive."""
    data = bytearray(seed_file.read_bytes())
    inside = seed_file.suffix == ".gz" and random.random() < 0.5
    if inside:
        data = bytearray(gzip.decompress(bytes(data)))
    is_nifti = ".nii" in seed_file.name
    is_text = seed_file.suffix in TEXT_HEADERS
    if is_nifti and (inside or seed_file.suffix == ".nii") and random.random() < 0.6:  # into the header
        data[:352] = flip(data[:352], random)
    elif is_text and random.random() < 0.6:
        data = renumber(data, random)
    else:
        data = MUTATIONS[int(random.integers(len(MUTATIONS) - 2 * (is_nifti or is_text)))](data, random)
    return gzip.compress(bytes(data), 1) if inside else bytes(data)


def write_nifti_seeds(folder: Path) -> None:
    """Small NIfTI files of several types, so that headers are a good part of what is mutated."""
    random = np.random.default_rng(0)
    for name, dtype, shape in (
        ("a.nii", "int16", (9, 8, 7)),
        ("b.nii.gz", "float32", (9, 8, 7)),
        ("c.nii.gz", "uint8", (5, 6, 7, 2)),
    ):
        nib.save(nib.Nifti1Image(random.integers(0, 99, shape).astype(dtype), np.diag([1.0, 2, 3, 1])), folder / name)
    nib.save(nib.Nifti2Image(random.integers(0, 99, (9, 8, 7)).astype("int32"), np.eye(4)), folder / "d.nii")


def write_itk_seeds(folder: Path) -> None:
    """Small NRRD and MetaImage files, plain and compressed."""
    random = np.random.default_rng(1)
    image = sitk.GetImageFromArray(random.integers(0, 99, (7, 8, 9)).astype("int16"))
    image.SetSpacing((1.0, 2.0, 3.0))
    for suffix in TEXT_HEADERS:
        for compressed in (False, True):
            sitk.WriteImage(image, str(folder / f"{'packed' if compressed else 'plain'}{suffix}"), compressed)


def seed_files(folder: Path, made: Path) -> list[Path]:
    """Real files alternate with the small files made here, at three to one."""
    found = [path for path in sorted(folder.rglob("*")) if path.name.endswith((".dcm", ".nii", ".nii.gz"))]
    found = [path for path in found if path.stat().st_size <= MAX_SEED_BYTES]
    if not found:
        raise SystemExit(f"{folder}: expected .dcm, .nii or .nii.gz files up to {MAX_SEED_BYTES} bytes, got none")
    write_nifti_seeds(made)
    write_itk_seeds(made)
    small = sorted(made.iterdir())
    return found + small * max(1, len(found) // (3 * len(small)))


def mutant(files: Sequence[Path], seed: int, number: int, folder: Path) -> Path:
    """Write mutant ``number``."""
    random = np.random.default_rng([seed, number])
    source = files[int(random.integers(len(files)))]
    suffix = ".nii.gz" if source.name.endswith(".nii.gz") else source.suffix
    path = folder / f"mutant{suffix}"
    path.write_bytes(mutate(source, random))
    return path


def read(path: Path) -> str:
    """Read with every risk allowed: "read", "refused", or what went wrong."""
    from qfae_monai.reading import RISKS, find_series, read_series  # noqa: PLC0415 (by the workers only)

    outcome = "refused"
    for volume in (None, "first"):
        try:
            find_series(path, volume=volume, allow=set(RISKS))
            read_series(path, volume=volume, allow=set(RISKS))
        except ValueError:
            continue
        except Exception as error:
            return f"{type(error).__name__}: {error}"
        outcome = "read"
        break
    return outcome


def peak_memory() -> int:
    """Bytes that this process has held at most; `ru_maxrss` of a child starts at its parent's, even after exec."""
    status = Path("/proc/self/status")
    if status.exists():
        return int(next(line for line in status.read_text().splitlines() if line.startswith("VmHWM")).split()[1]) * 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)


def work(connection: Any, files: Sequence[Path], seed: int, folder: Path) -> None:
    """A worker: answers each mutant's number with outcome, seconds (own, by the clock), peak memory and files left."""
    warnings.simplefilter("ignore")
    logging.disable(logging.CRITICAL)
    os.environ["TMPDIR"] = str(folder / "tmp")
    (folder / "tmp").mkdir(parents=True, exist_ok=True)
    tempfile.tempdir = None
    sink = os.open(os.devnull, os.O_WRONLY)
    os.dup2(sink, 2)  # decoders complain straight to stderr
    import qfae_monai.reading.series  # noqa: F401, PLC0415 (so that the first file does not pay for it)

    connection.send("ready")
    while (number := connection.recv()) is not None:
        path = mutant(files, seed, number, folder)
        connection.send("start")
        before = set((folder / "tmp").iterdir())
        wall, start = time.perf_counter(), time.process_time()
        outcome = read(path)
        seconds, wall = time.process_time() - start, time.perf_counter() - wall
        memory = peak_memory()
        connection.send((outcome, seconds, wall, memory, len(set((folder / "tmp").iterdir()) - before)))


@dataclass
class Report:
    """What came out."""

    outcomes: Counter[str] = field(default_factory=Counter)
    failures: list[str] = field(default_factory=list)
    slowest: tuple[float, int] = (0.0, -1)  # seconds of the worker's own time, mutant
    slowest_wall: tuple[float, int] = (0.0, -1)  # seconds by the clock, mutant
    memory: int = 0


class Worker:
    """A process that reads mutants, and is replaced when one kills it."""

    def __init__(self, files: Sequence[Path], seed: int, folder: Path) -> None:
        self.arguments = (files, seed, folder)
        self.start()

    def start(self) -> None:
        context = mp.get_context("spawn")
        self.connection, theirs = context.Pipe()
        self.process = context.Process(target=work, args=(theirs, *self.arguments), daemon=True)
        self.process.start()
        theirs.close()
        if not self.connection.poll(START_SECONDS):
            raise SystemExit(f"expected a worker to start within {START_SECONDS} s")
        self.connection.recv()

    def stop(self) -> None:
        self.process.kill()
        self.process.join()
        shutil.rmtree(self.arguments[2] / "tmp", ignore_errors=True)

    def run(self, number: int, limit: float, report: Report) -> None:
        """Read one mutant; a failure is written into the report and the worker is replaced."""
        problem = None
        try:
            self.connection.send(number)
            self.connection.recv()  # the mutant is written
            if self.connection.poll(6 * limit):
                outcome, seconds, wall, memory, left = self.connection.recv()
                report.slowest = max(report.slowest, (seconds, number))
                report.slowest_wall = max(report.slowest_wall, (wall, number))
                report.memory = max(report.memory, memory)
                if outcome not in ("read", "refused"):
                    problem = outcome
                elif seconds > limit:
                    problem = f"{seconds:.1f} s"
                elif memory > MAX_MEMORY:
                    problem = f"memory {memory >> 20} MB"
                elif left:
                    problem = f"{left} files left in the temporary folder"
                else:
                    report.outcomes[outcome] += 1
            else:
                problem = f"hang of more than {6 * limit:g} s"
        except EOFError:
            self.process.join()
            problem = f"crash, exit code {self.process.exitcode}"
        if problem:
            report.outcomes["failed"] += 1
            report.failures.append(f"mutant {number}: {problem}")
            logging.getLogger(__name__).warning(report.failures[-1])
            self.stop()
            self.start()


def fuzz(folder: Path, *, count: int, seed: int = 0, seconds: float = 5.0, progress: int = 0) -> Report:
    """Read ``count`` mutants of the files below ``folder``.

    Args:
        folder: with DICOM and NIfTI files.
        count: number of mutants.
        seed: of the mutations.
        seconds: limit for one file.
        progress: print after this many; 0 prints nothing.
    """
    report = Report()
    with tempfile.TemporaryDirectory(prefix="qfae-fuzz-") as name:
        made, place = Path(name) / "seeds", Path(name) / "worker"
        made.mkdir()
        place.mkdir()
        worker = Worker(seed_files(folder, made), seed, place)
        for number in range(count):
            worker.run(number, seconds, report)
            if progress and (number + 1) % progress == 0:
                print(f"{number + 1}: {dict(report.outcomes)}", file=sys.stderr, flush=True)
        worker.stop()
    return report


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--count", type=int, default=10_000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--seconds", type=float, default=5.0, help="limit for one file")
    parser.add_argument("--only", type=int, help="read this mutant in this process")
    arguments = parser.parse_args()
    if arguments.only is not None:
        with tempfile.TemporaryDirectory() as name:
            (Path(name) / "seeds").mkdir()
            files = seed_files(arguments.folder, Path(name) / "seeds")
            print(read(mutant(files, arguments.seed, arguments.only, Path(name))))
        return
    start = time.perf_counter()
    report = fuzz(arguments.folder, count=arguments.count, seed=arguments.seed, seconds=arguments.seconds, progress=500)
    outcomes = ", ".join(f"{number} {word}" for word, number in sorted(report.outcomes.items()))
    print(f"{arguments.count} mutants with seed {arguments.seed} in {time.perf_counter() - start:.0f} s: {outcomes}")
    print(
        f"slowest {report.slowest[0]:.2f} s of its worker's processor time (mutant {report.slowest[1]}), "
        f"{report.slowest_wall[0]:.2f} s by the clock (mutant {report.slowest_wall[1]}), "
        f"peak memory {report.memory >> 20} MB"
    )
    for failure in report.failures:
        print(failure)
    raise SystemExit(bool(report.failures))


if __name__ == "__main__":
    main()
