"""BraTS2021 as in BMAD: axial FLAIR slices, normal where they hold no tumour voxel.

INPUT has one folder per patient: `*_flair.nii.gz` and `*_seg.nii.gz`. Published: slices 60 to 99; patients sorted by
how many of these are free of tumour give training, test and validation normals in the proportion 424 : 162 : 39, or
those of a split file; the others give abnormal slices, 11 : 615 to validation and test. Slices are what BMAD's script
saves: lying on their side (rows along the first stored axis), in matplotlib's colours "bone". Corrected: upright and
grey; patients are drawn at random; validation and test take the same slices of each patient, normal or not: small
lesions are among them, and normal and abnormal slices come from the same people.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated, Any, ClassVar

import numpy as np
import typer
from numpy.typing import NDArray

from qfae_monai.files import sha256_of_files
from qfae_monai.privacy.pseudonyms import Pseudonyms
from qfae_monai.reading.series import read_series
from qfae_monai.reading.series_files import walk
from qfae_monai.recipes import Cut, Recipe, Source, draw, share, split_patients, stored_planes
from qfae_monai.recipes.bone import bone
from qfae_monai.recipes.images import read_image_and_mask
from qfae_monai.recipes.split_file import SplitLists, read_split

from . import command

IMAGE, LABEL = "_flair.nii.gz", "_seg.nii.gz"
NORMAL_PATIENTS = (424, 162, 39)  # train, test and validation, of 625
ABNORMAL_PATIENTS = (11, 615)  # validation and test, of 626
VALID_SLICES = (60, 70, 80, 90)
TEST_SLICES = (60, 68, 76, 84, 92)
RULES = ("slice minimum to maximum", "slice minimum to maximum, 256 colours of matplotlib's bone")


@dataclass(frozen=True)
class Brats2021(Recipe):
    """See the head of this file.

    Args:
        variant: "published" or "corrected".
        first: index of the first slice.
        last: index of the last slice.
        fractions: of patients to train, valid and test in the corrected variant.
        split: file of the patients that train, validate and test, see `qfae_monai.recipes.split_file.read_split`;
            of the published variant. None sorts patients by their tumour-free slices.
        lists: what that file says of this data set; read by `settled`.
    """

    variant: str = "published"
    first: int = 60
    last: int = 99
    fractions: tuple[float, float, float] = (0.7, 0.1, 0.2)
    split: Path | None = None
    lists: SplitLists | None = None

    name: ClassVar[str] = "brats2021"
    surveyed: ClassVar[bool] = True

    def __post_init__(self) -> None:
        if self.split is not None and self.variant != "published":
            raise ValueError(f"--split: expected --variant published beside it, got {self.variant}.")

    @property
    def formats(self) -> tuple[str, ...]:
        return ("png8", "npy") if self.variant == "published" else ("png8", "png16", "npy")  # colours have 8 bits

    def parameters(self, names: Pseudonyms) -> dict[str, Any]:
        values = super().parameters(names)
        if self.variant == "published":
            values["pixels"] = "lying, bone"  # outputs of earlier versions, upright and grey, must not go on
        del values["split"], values["lists"]
        if self.split is not None:
            values["split_hmac"] = names.setting("split", sha256_of_files([self.split]))
        return values

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

    def settled(self, sources: Sequence[Source]) -> tuple[Recipe, list[str]]:
        if self.split is None:
            return self, []
        lists = read_split(self.split, [source.patient for source in sources])
        abnormal = len(sources) - len(lists.normal)
        validated = "drawn" if lists.valid_abnormal is None else f"the {len(lists.valid_abnormal)} in the file"
        return replace(self, lists=lists), [
            f"split file: normal slices of {len(lists.train)} patients to train, of {len(lists.valid)} to validation, "
            f"of {len(lists.test)} to test; abnormal slices of the {abnormal} others, in validation {validated}"
        ]

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
        others = [patient for patient in free if not free[patient]]
        normal = _by_free_slices(free) if self.lists is None else self._of_lists(free, self.lists)
        plan = {patient: dict.fromkeys(free[patient], split) for patient, split in normal.items()}
        if self.lists is None or self.lists.valid_abnormal is None:
            valid = set(draw(others, share(len(others), ABNORMAL_PATIENTS), seed)[0])
        else:
            valid = set(self.lists.valid_abnormal)
        plan |= {patient: dict.fromkeys(VALID_SLICES, "valid") for patient in others if patient in valid}
        return plan | {patient: dict.fromkeys(TEST_SLICES, "test") for patient in others if patient not in valid}

    def _of_lists(self, free: Mapping[str, Sequence[int]], lists: SplitLists) -> dict[str, str]:
        """Patient -> split, as the lists say; their normal patients must be those with tumour-free slices."""
        normal = {patient: split for patient, split in lists.normal.items() if patient in free}  # some were refused
        full = [patient for patient in normal if not free[patient]]
        missing = [patient for patient in free if free[patient] and patient not in normal]
        if full or missing:
            raise ValueError(
                f"{self.split}: expected the patients with tumour-free slices among {self.first} to {self.last} in "
                f"train, valid and test, got {len(full)} there that have none: {', '.join(full[:5]) or '-'}; and "
                f"{len(missing)} not there that have some: {', '.join(missing[:5]) or '-'}."
            )
        return normal

    def _corrected(self, tumour: Mapping[str, Mapping[int, int]], seed: int) -> dict[str, dict[int, str]]:
        plan: dict[str, dict[int, str]] = {}
        for patient, split in split_patients(list(tumour), self.fractions, seed).items():
            free = [k for k, voxels in tumour[patient].items() if not voxels]
            plan[patient] = dict.fromkeys(free if split == "train" else TEST_SLICES, split)
        return plan

    def cut(self, source: Source) -> Iterator[Cut]:
        pair = read_image_and_mask(source)
        published = self.variant == "published"
        planes = stored_planes(pair.image.array, pair.image.affine, lying=published)
        lesion = pair.lesion
        assert lesion is not None
        masks = stored_planes(lesion, pair.image.affine, lying=published)
        for index, split in sorted((source.slices or {}).items()):
            raw, mask = planes[index], masks[index]
            low, high = float(raw.min()), float(raw.max())
            if not np.isfinite(raw).all() or low == high:
                raise ValueError(
                    f"{source.image[0]}: slice {index}: expected finite, varying values, got {low} to {high}."
                )
            unit: NDArray[Any] = (raw.astype(np.float64) - low) / (high - low)
            yield Cut(
                index,
                split,
                bone(unit) if published else unit,
                raw,
                mask,
                bool(mask.any()),
                planes.affine_of(index),
                planes.spacing,
                {"rule": RULES[published], "low": low, "high": high},
                pair.burned_in,
                pair.image.risks,
            )


def _by_free_slices(free: Mapping[str, Sequence[int]]) -> dict[str, str]:
    """Patient -> split by how many slices are free of tumour: those with most train, those with fewest validate."""
    with_normal = sorted((patient for patient in free if free[patient]), key=lambda one: (-len(free[one]), one))
    ends = np.cumsum(share(len(with_normal), NORMAL_PATIENTS))
    return {
        patient: ("train", "test", "valid")[int(np.searchsorted(ends, rank, side="right"))]
        for rank, patient in enumerate(with_normal)
    }


def brats2021(
    folder: command.Input,
    output: command.Output,
    variant: command.Variant = command.VariantName.published,
    split: Annotated[
        Path | None,
        typer.Option(help="JSON lists of the patients that train, valid and test; for --variant published."),
    ] = None,
    seed: command.Seed = 42,
    format: command.Format = command.FormatName.png8,
    workers: command.Workers = 1,
    dask: command.Dask = None,
    key: command.Key = None,
) -> None:
    """BraTS2021: axial FLAIR slices 60 to 99, tumour-free ones to train on."""
    with command.errors():
        recipe = Brats2021(variant.value, split=split)
    command.run_recipe(recipe, folder, output, seed=seed, format=format, workers=workers, dask=dask, key=key)


app = command.application(brats2021)

if __name__ == "__main__":
    app()
