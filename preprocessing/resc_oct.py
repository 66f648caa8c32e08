"""RESC (AI Challenger 2018, retinal edema) as in BMAD: B-scans of optical coherence tomography.

INPUT has `Edema_trainingset` and `Edema_validationset`, each with `original_images/CUBE/*.bmp` and
`label_images/CUBE_labelMark/*.bmp` (0 is background; PED, SRF and REA are above). Published: the training set's
lesion-free B-scans to train on; the validation set's B-scans, drawn one by one, 115 : 1,805 to validation and test.
Corrected: validation and test are drawn by patient.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, ClassVar

import cv2
import numpy as np
from numpy.typing import NDArray

from qfae_monai.recipes import Cut, Recipe, Source, draw, share, split_patients
from qfae_monai.transforms.images import check_image_memory

from . import command

SETS = {"train": "Edema_trainingset", "test": "Edema_validationset"}
VALID_TO_TEST = (115, 1805)


@dataclass(frozen=True)
class RescOCT(Recipe):
    """See the head of this file.

    Args:
        variant: "published" or "corrected".
    """

    variant: str = "published"

    name: ClassVar[str] = "resc_oct"
    surveyed: ClassVar[bool] = True

    @property
    def formats(self) -> tuple[str, ...]:
        return ("png8", "npy")

    def find(self, folder: Path) -> list[Source]:
        sources = []
        for split, name in SETS.items():
            roots = sorted(path for path in [folder, *folder.rglob(name)] if path.name == name)
            if not roots:
                raise FileNotFoundError(f"{folder}: expected the folders {', '.join(SETS.values())}, found no {name}.")
            cubes = sorted(path for path in (roots[0] / "original_images").glob("*") if path.is_dir())
            sources += [_cube(cube, split) for cube in cubes]
        return sources

    def survey(self, source: Source) -> list[bool]:
        """Whether each B-scan has a lesion."""
        return [bool(_grey(name).any()) for name in source.label]

    def plan(self, sources: Sequence[Source], surveys: Sequence[list[bool]], seed: int) -> list[Source]:
        held_out = [source for source in sources if source.split == "test"]
        splits = self._held_out(held_out, seed)
        planned = []
        for source, lesions in zip(sources, surveys, strict=True):
            slices = (
                {i: "train" for i, lesion in enumerate(lesions) if not lesion}
                if source.split == "train"
                else {i: splits[_scan(source, i)] for i in range(len(lesions))}
            )
            planned += [replace(source, split="", slices=slices)] if slices else []
        return planned

    def _held_out(self, sources: Sequence[Source], seed: int) -> dict[str, str]:
        """B-scan -> "valid" or "test"."""
        scans = {_scan(source, i): source.patient for source in sources for i in range(len(source.image))}
        if self.variant == "published":
            valid = set(draw(list(scans), share(len(scans), VALID_TO_TEST)[:1], seed)[0])
            return {scan: "valid" if scan in valid else "test" for scan in scans}
        patients = sorted(set(scans.values()))
        if len(patients) < 2:
            raise ValueError(f"expected patients for validation and test, got {len(patients)} in {SETS['test']}.")
        splits = split_patients(patients, (0, *VALID_TO_TEST), seed)
        return {scan: splits[patient] for scan, patient in scans.items()}

    def cut(self, source: Source) -> Iterator[Cut]:
        for index, split in sorted((source.slices or {}).items()):
            image, label = _grey(source.image[index]), _grey(source.label[index])
            if image.shape != label.shape:
                raise ValueError(
                    f"{source.label[index]}: expected the image's {image.shape} pixels, got {label.shape}."
                )
            mask = label > 0
            yield Cut(index, split, image, image, mask, bool(mask.any()), scaling={"rule": "as stored"})


def _cube(folder: Path, split: str) -> Source:
    """A cube's B-scans in the order of their numbers, with their masks."""
    scans = sorted(folder.glob("[!.]*.bmp"), key=lambda path: (len(path.stem), path.stem))
    labels = folder.parents[1] / "label_images"
    names = (folder.name.removesuffix(".img") + "_labelMark", folder.name + "_labelMark", folder.name)
    marked = next((labels / name for name in names if (labels / name).is_dir()), labels / names[0])
    missing = [scan.name for scan in scans if not (marked / scan.name).is_file()]
    refusal = "" if scans else f"{folder}: expected *.bmp, found none."
    if missing:
        refusal = f"{folder}: expected a mask a B-scan in {marked}, found none for {len(missing)}: {missing[0]} ..."
    masks = tuple(str(marked / scan.name) for scan in scans)
    return Source(
        folder.name.split("_")[0],
        folder.name,
        tuple(map(str, scans)),
        () if refusal else masks,
        split=split,
        refusal=refusal,
    )


def _scan(source: Source, index: int) -> str:
    return f"{source.name}/{index:04d}"


def _grey(name: str) -> NDArray[Any]:
    """(H, W), uint8, of an image file."""
    check_image_memory(name)
    image = cv2.imdecode(np.fromfile(name, np.uint8), cv2.IMREAD_GRAYSCALE)
    if image is None:
        raise ValueError(f"{name}: expected an image, got a file that is not.")
    return image


def resc_oct(
    folder: command.Input,
    output: command.Output,
    variant: command.Variant = command.VariantName.published,
    seed: command.Seed = 42,
    format: command.Format = command.FormatName.png8,
    workers: command.Workers = 1,
    dask: command.Dask = None,
    key: command.Key = None,
) -> None:
    """RESC: B-scans of retinal OCT, lesion-free ones to train on."""
    recipe = RescOCT(variant.value)
    command.run_recipe(recipe, folder, output, seed=seed, format=format, workers=workers, dask=dask, key=key)


app = command.application(resc_oct)

if __name__ == "__main__":
    app()
