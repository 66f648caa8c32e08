"""BraTS2021 as in BMAD: axial FLAIR slices, normal where they hold no tumour voxel.

INPUT has one folder per patient: `*_flair.nii.gz` and `*_seg.nii.gz`. Published: slices 60 to 99; patients sorted by
how many of these are free of tumour give training, test and validation normals in the proportion 424 : 162 : 39; the
others give abnormal slices, 11 : 615 to validation and test. Corrected: patients are drawn at random; validation and
test take the same slices of each patient, normal or not: small lesions are among them, and normal and abnormal slices
come from the same people.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import ClassVar

import numpy as np

from qfae_monai.reading.series import read_series
from qfae_monai.reading.series_files import walk
from qfae_monai.recipes import Cut, Recipe, Source, draw, share, split_patients, stored_planes
from qfae_monai.recipes.images import read_image_and_mask

from . import command

IMAGE, LABEL = "_flair.nii.gz", "_seg.nii.gz"
NORMAL_PATIENTS = (424, 162, 39)  # train, test and validation, of 625
ABNORMAL_PATIENTS = (11, 615)  # validation and test, of 626
VALID_SLICES = (60, 70, 80, 90)
TEST_SLICES = (60, 68, 76, 84, 92)


@dataclass(frozen=True)
class Brats2021(Recipe):
    """See the head of this file.

    Args:
        variant: "published" or "corrected".
        first: index of the first slice.
        last: index of the last slice.
        fractions: of patients to train, valid and test in the corrected variant.
    """

    variant: str = "published"
    first: int = 60
    last: int = 99
    fractions: tuple[float, float, float] = (0.7, 0.1, 0.2)

    name: ClassVar[str] = "brats2021"
    surveyed: ClassVar[bool] = True

    def find(self, folder: Path) -> list[Source]:
        images = [file for file in walk(folder)[0] if file.name.endswith(IMAGE)]
        if not images:
            raise FileNotFoundError(f"{folder}: expected a folder per patient with *{IMAGE}, found none.")
        return [self._source(image) for image in images]

    def _source(self, image: Path) -> Source:
        label = image.with_name(image.name.removesuffix(IMAGE) + LABEL)
        missing = "" if label.is_file() else f"{image.parent}: expected {label.name} beside {image.name}, found none."
        patient = image.name.removesuffix(IMAGE)
        return Source(patient, "flair", (str(image),), (str(label),) if not missing else (), refusal=missing)

    def survey(self, source: Source) -> dict[int, int]:
        """Slice -> voxels of tumour, within the recipe's range."""
        label = read_series(source.label[0]).array
        if label.shape[2] <= self.last:
            raise ValueError(f"{source.label[0]}: expected more than {self.last} slices, got shape {label.shape}.")
        counts = np.count_nonzero(label[:, :, self.first : self.last + 1], axis=(0, 1))
        return {self.first + i: int(count) for i, count in enumerate(counts)}

    def plan(self, sources: Sequence[Source], surveys: Sequence[Mapping[int, int]], seed: int) -> list[Source]:
        tumour = {source.patient: survey for source, survey in zip(sources, surveys, strict=True)}
        slices = self._published(tumour, seed) if self.variant == "published" else self._corrected(tumour, seed)
        return [replace(source, slices=slices[source.patient]) for source in sources if slices.get(source.patient)]

    def _published(self, tumour: Mapping[str, Mapping[int, int]], seed: int) -> dict[str, dict[int, str]]:
        free = {patient: [k for k, voxels in survey.items() if not voxels] for patient, survey in tumour.items()}
        with_normal = sorted((p for p in free if free[p]), key=lambda p: (-len(free[p]), p))
        others = [patient for patient in free if not free[patient]]
        ends = np.cumsum(share(len(with_normal), NORMAL_PATIENTS))
        plan: dict[str, dict[int, str]] = {}
        for rank, patient in enumerate(with_normal):
            split = ("train", "test", "valid")[int(np.searchsorted(ends, rank, side="right"))]
            plan[patient] = dict.fromkeys(free[patient], split)
        valid, test = draw(others, share(len(others), ABNORMAL_PATIENTS), seed)
        plan |= {patient: dict.fromkeys(VALID_SLICES, "valid") for patient in valid}
        return plan | {patient: dict.fromkeys(TEST_SLICES, "test") for patient in test}

    def _corrected(self, tumour: Mapping[str, Mapping[int, int]], seed: int) -> dict[str, dict[int, str]]:
        plan: dict[str, dict[int, str]] = {}
        for patient, split in split_patients(list(tumour), self.fractions, seed).items():
            free = [k for k, voxels in tumour[patient].items() if not voxels]
            plan[patient] = dict.fromkeys(free if split == "train" else TEST_SLICES, split)
        return plan

    def cut(self, source: Source) -> Iterator[Cut]:
        pair = read_image_and_mask(source)
        planes = stored_planes(pair.image.array, pair.image.affine)
        lesion = pair.lesion
        assert lesion is not None
        masks = stored_planes(lesion, pair.image.affine)
        for index, split in sorted((source.slices or {}).items()):
            raw, mask = planes[index], masks[index]
            low, high = float(raw.min()), float(raw.max())
            if not np.isfinite(raw).all() or low == high:
                raise ValueError(
                    f"{source.image[0]}: slice {index}: expected finite, varying values, got {low} to {high}."
                )
            image = (raw.astype(np.float64) - low) / (high - low)
            yield Cut(
                index,
                split,
                image,
                raw,
                mask,
                bool(mask.any()),
                planes.affine_of(index),
                planes.spacing,
                {"rule": "slice minimum to maximum", "low": low, "high": high},
                pair.burned_in,
                pair.image.risks,
            )


def brats2021(
    folder: command.Input,
    output: command.Output,
    variant: command.Variant = command.VariantName.published,
    seed: command.Seed = 42,
    format: command.Format = command.FormatName.png8,
    workers: command.Workers = 1,
    dask: command.Dask = None,
    key: command.Key = None,
) -> None:
    """BraTS2021: axial FLAIR slices 60 to 99, tumour-free ones to train on."""
    recipe = Brats2021(variant.value)
    command.run_recipe(recipe, folder, output, seed=seed, format=format, workers=workers, dask=dask, key=key)


app = command.application(brats2021)

if __name__ == "__main__":
    app()
