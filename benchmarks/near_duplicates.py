"""Which near-duplicates are found, and which scans are taken for such? `python benchmarks/near_duplicates.py SCANS`.

SCANS is a folder as `qfae train` takes it. First all scans of different patients are held against each other: whatever
is found there is false, or a duplicate that the data have. Then some scans are changed, and looked for among all:
`found` are those that were paired with their own scan, `wrong` those that were paired with one of another patient.
"""

from __future__ import annotations

import argparse
import io
import resource
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image

from qfae_monai.data.near_duplicates import near_duplicates
from qfae_monai.data.patients import tell_patients
from qfae_monai.data.scan_picture import image_pixels, scan_picture
from qfae_monai.model.finding import BIDS, FOLDER, find_scans
from qfae_monai.model.scan import Scan
from qfae_monai.reading import read_series

Array = NDArray[Any]
Change = Callable[[Array], Array]


def grey(array: Array) -> NDArray[np.uint8]:
    """From 0 to 255, by the range of the values."""
    return np.rint(255 * ((array - array.min()) / np.ptp(array))).astype(np.uint8)


def jpeg(image: Array) -> Array:
    content = io.BytesIO()
    Image.fromarray(grey(image)).save(content, "JPEG", quality=30)
    return np.asarray(Image.open(content))


def marked(image: Array) -> Array:
    """A white field of 2 % of the image, and a line of another 1 %."""
    rows, columns = image.shape
    found = grey(image)
    found[rows * 3 // 100 : rows * 13 // 100, columns * 3 // 100 : columns * 23 // 100] = 255
    found[rows * 85 // 100 : rows * 88 // 100, columns * 65 // 100 : columns * 95 // 100] = 255
    return found


def cropped(share: float) -> Change:
    """Less by a share of each side's length, at both of its ends."""
    return lambda array: array[tuple(slice(max(1, int(share * n)), n - max(1, int(share * n))) for n in array.shape)]


def gamma(exponent: float) -> Change:
    return lambda array: np.float32(grey(array) / 255) ** exponent


def noisy(array: Array) -> Array:
    return array + 0.03 * np.ptp(array) * np.random.default_rng(0).normal(size=array.shape)


EITHER: dict[str, Change] = {
    "gamma 0.7": gamma(0.7),
    "gamma 1.5": gamma(1.5),
    "gamma 2": gamma(2.0),
    "brightness and contrast, 8 bits": lambda array: 0.7 * grey(array) + 40,
    "noise of 3 % of the range": noisy,
    "cropped by 1.5 % at each edge": cropped(0.015),
    "cropped by 6 % at each edge": cropped(0.06),
    "flipped": lambda array: array[::-1],
}
IMAGES: dict[str, Change] = {
    "JPEG of quality 30": jpeg,
    "half the size": lambda image: cv2.resize(np.float32(image), None, fx=0.5, fy=0.5, interpolation=cv2.INTER_AREA),
    "other sides": lambda image: cv2.resize(np.float32(image), (200, 300)),
    "turned by 90 degrees": np.rot90,
    "rotated by 3 degrees": lambda image: np.asarray(Image.fromarray(grey(image)).rotate(3)),
    "burned-in marks": marked,
    "JPEG, cropped, flipped": lambda image: jpeg(cropped(0.015)(image)[:, ::-1]),
}
VOLUMES: dict[str, Change] = {
    "every second row and column": lambda volume: volume[::2, ::2],
    "two slices less": lambda volume: volume[:, :, 2:],
}


def read(scan: Scan) -> tuple[Array, Array | None]:
    if scan.kind == "image":
        return image_pixels(scan.path), None
    series = read_series(list(scan.files) if scan.path.is_file() else scan.path, volume=scan.volume)
    return series.array, series.affine


def time_made_up(count: int) -> None:
    """Processor time and memory of a comparison: noise on 24 backgrounds, so that most have neighbours to align."""
    rng = np.random.default_rng(0)
    backgrounds = [cv2.GaussianBlur(rng.normal(size=(64, 64)), (0, 0), 3) for _ in range(24)]
    pictures = [
        scan_picture(0.8 * backgrounds[number % 24] + cv2.GaussianBlur(rng.normal(size=(64, 64)), (0, 0), 3))
        for number in range(count)
    ]
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    began = time.process_time()
    pairs = near_duplicates(pictures)
    spent = time.process_time() - began
    memory = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1e6  # GB
    print(f"{count} pictures, {len(pairs)} pairs: {spent:.0f} s of processor time, {memory:.1f} GB")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("scans", type=Path, nargs="?", help="folder; without, made-up pictures are timed")
    parser.add_argument("--image", help="pattern of the scans to take, as of `qfae train`")
    parser.add_argument("--patient", help="regular expression that tells the patient, as of `qfae train`")
    parser.add_argument("--changed", type=int, default=60, help="scans that are changed")
    parser.add_argument("--count", type=int, default=10_000, help="made-up pictures")
    arguments = parser.parse_args()
    if arguments.scans is None:
        time_made_up(arguments.count)
        return
    found, _, layout = find_scans(arguments.scans, image=arguments.image)
    scans, _ = tell_patients(found, pattern=arguments.patient, folders=layout in (FOLDER, BIDS))
    patients = [scan.patient for scan in scans]
    pictures, spent = [], 0.0  # seconds
    for scan in scans:
        array, affine = read(scan)
        began = time.process_time()
        pictures.append(scan_picture(array, affine))
        spent += time.process_time() - began
    pairs = near_duplicates(pictures, different=[patients])
    print(f"{len(scans)} scans of {len(set(patients))} patients: {len(pairs)} pairs of different patients; ", end="")
    print(f"a picture takes {1000 * spent / len(scans):.2g} ms of processor time")
    chosen = np.random.default_rng(0).permutation(len(scans))[: arguments.changed].tolist()
    print("| change | found | wrong |\n|---|---|---|")
    changes = {**EITHER, **(IMAGES if scans[0].kind == "image" else VOLUMES)}
    for name, change in changes.items():
        copies = []
        for number in chosen:
            array, affine = read(scans[number])
            copies.append(scan_picture(change(array), affine))
        sides = [0] * len(pictures) + [1] * len(copies)
        pairs = near_duplicates([*pictures, *copies], different=[sides])
        owners = [(patients[pair.first], patients[chosen[pair.second - len(pictures)]]) for pair in pairs]
        own = {pair.second for pair, (one, other) in zip(pairs, owners, strict=True) if one == other}
        wrong = sum(one != other for one, other in owners)
        print(f"| {name} | {len(own)} of {len(copies)} | {wrong} |", flush=True)


if __name__ == "__main__":
    main()
