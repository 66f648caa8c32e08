"""RSNA pneumonia detection challenge (Kaggle, stage 2) as in BMAD: chest radiographs, all that is not normal abnormal.

INPUT has `stage_2_train_labels.csv`, `stage_2_detailed_class_info.csv` and `stage_2_train_images/ID.dcm`. Published:
normal images are drawn 8,000 : 70 : 781 to training, validation and test, the others ("Lung Opacity" and "No Lung
Opacity / Not Normal") 1,420 : 16,413 to validation and test. Corrected: the same by person, as many were imaged several
times; the challenge's mapping to the NIH images (`--people`) tells who is who.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Annotated, Any, ClassVar

import numpy as np
import typer

from qfae_monai.files import read_json, read_rows, sha256_of_files
from qfae_monai.files.tables import check_file_name
from qfae_monai.privacy.pseudonyms import Pseudonyms
from qfae_monai.recipes import Cut, Recipe, Source, draw, share, split_patients, stored_planes
from qfae_monai.recipes.images import read_image_and_mask

from . import command

LABELS, CLASSES, IMAGES = "stage_2_train_labels.csv", "stage_2_detailed_class_info.csv", "stage_2_train_images"
NORMAL, OPACITY, NOT_NORMAL = "Normal", "Lung Opacity", "No Lung Opacity / Not Normal"
NORMAL_IMAGES = (8000, 70, 781)  # train, validation and test, of 8,851
ABNORMAL_IMAGES = (1420, 16413)  # validation and test, of 17,833


@dataclass(frozen=True)
class RsnaCXR(Recipe):
    """See the head of this file.

    Args:
        variant: "published" or "corrected".
        people: the challenge's mapping to the NIH images, JSON; needed by the corrected variant.
    """

    variant: str = "published"
    people: Path | None = field(default=None, compare=False)

    name: ClassVar[str] = "rsna_cxr"

    def __post_init__(self) -> None:
        if self.variant == "corrected" and self.people is None:
            raise ValueError("expected --people with the challenge's mapping to the NIH images, got none.")

    def parameters(self, names: Pseudonyms) -> dict[str, Any]:
        people = names.setting("people", sha256_of_files([self.people])) if self.people else ""
        return {"variant": self.variant, "people_hmac": people}

    @property
    def formats(self) -> tuple[str, ...]:
        return ("png8", "npy")

    def find(self, folder: Path) -> list[Source]:
        classes = _classes(folder)
        people = _people(self.people) if self.people else {}
        images = folder / IMAGES
        sources = []
        for name, kind in sorted(classes.items()):
            path = images / f"{check_file_name(name, f'{folder / CLASSES}, patientId')}.dcm"
            refusal = "" if path.is_file() else f"{path}: expected the image of an id in {CLASSES}, found none."
            if self.variant == "corrected" and name not in people:
                refusal = refusal or f"{path}: expected its person in the mapping, found none."
            patient = people.get(name, name) if self.variant == "corrected" else name
            sources.append(Source(patient, name, (str(path),), image_label=int(kind != NORMAL), refusal=refusal))
        return sources

    def plan(self, sources: Sequence[Source], surveys: Sequence[Any], seed: int) -> list[Source]:
        normal = [source.name for source in sources if source.image_label == 0]
        abnormal = [source.name for source in sources if source.image_label == 1]
        if self.variant == "published":
            groups = [
                *draw(normal, share(len(normal), NORMAL_IMAGES), seed),
                *draw(abnormal, share(len(abnormal), ABNORMAL_IMAGES), seed),
            ]
            splits = {
                name: split
                for split, group in zip(("train", "valid", "test", "valid", "test"), groups, strict=True)
                for name in group
            }
        else:
            by_person = self._by_person(sources, seed)
            splits = {source.name: by_person[source.patient] for source in sources}
        # people drawn to train give their normal images alone
        kept = [s for s in sources if s.image_label == 0 or splits[s.name] != "train"]
        return [replace(source, slices={0: splits[source.name]}) for source in kept]

    def _by_person(self, sources: Sequence[Source], seed: int) -> dict[str, str]:
        """People with normal images in the published proportion of normals; the others to validation and test."""
        with_normal = sorted({source.patient for source in sources if source.image_label == 0})
        others = sorted({source.patient for source in sources} - set(with_normal))
        valid, test = draw(others, share(len(others), ABNORMAL_IMAGES), seed)
        splits = split_patients(with_normal, NORMAL_IMAGES, seed) if with_normal else {}
        return splits | dict.fromkeys(valid, "valid") | dict.fromkeys(test, "test")

    def cut(self, source: Source) -> Iterator[Cut]:
        pair = read_image_and_mask(source)
        array = pair.image.array
        if array.shape[2] != 1 or float(array.min()) < 0 or float(array.max()) > 255:
            raise ValueError(
                f"{source.image[0]}: expected one image of 8 bits, "
                f"got shape {array.shape} with values {array.min():g} to {array.max():g}."
            )
        planes = stored_planes(array, pair.image.affine)
        image = planes[0].astype(np.uint8)
        for index, split in (source.slices or {}).items():
            yield Cut(
                index,
                split,
                image,
                image,
                None,
                bool(source.image_label),
                planes.affine_of(0),
                planes.spacing,
                {"rule": "as stored"},
                pair.burned_in,
                pair.image.risks,
            )


def _classes(folder: Path) -> dict[str, str]:
    """Image id -> class; the two tables must agree."""
    classes: dict[str, set[str]] = {}
    for row in _rows(folder / CLASSES, ("patientId", "class")):
        classes.setdefault(row["patientId"], set()).add(row["class"])
    opaque: dict[str, bool] = {}
    for row in _rows(folder / LABELS, ("patientId", "Target")):
        opaque[row["patientId"]] = opaque.get(row["patientId"], False) or row["Target"] == "1"
    for name in classes.keys() | opaque.keys():
        kinds = classes.get(name, set())
        if len(kinds) != 1 or not kinds <= {NORMAL, OPACITY, NOT_NORMAL} or opaque.get(name) != (kinds == {OPACITY}):
            raise ValueError(
                f"{folder}: expected one of the three classes for {name}, and Target 1 for opacities alone, "
                f"got {sorted(kinds)} and Target {opaque.get(name)}."
            )
    return {name: next(iter(kinds)) for name, kinds in classes.items()}


def _rows(path: Path, columns: tuple[str, ...]) -> list[dict[str, str]]:
    if not path.is_file():
        raise FileNotFoundError(f"{path}: expected the challenge's table, found none.")
    return read_rows(path, columns)


def _people(path: Path) -> Mapping[str, str]:
    """Image id -> person, from entries with `subset_img_id` and `img_id`, such as 00000013_001.png of person 13."""
    try:
        entries = read_json(path)
        return {entry["subset_img_id"]: str(entry["img_id"]).split("_")[0] for entry in entries}
    except (ValueError, KeyError, TypeError) as error:
        raise ValueError(
            f"{path}: expected a JSON list of subset_img_id and img_id, got another file ({error!r})."
        ) from error


def rsna_cxr(
    folder: command.Input,
    output: command.Output,
    variant: command.Variant = command.VariantName.published,
    people: Annotated[
        Path | None, typer.Option(help="JSON mapping of the challenge's images to NIH's; for --variant corrected.")
    ] = None,
    seed: command.Seed = 42,
    format: command.Format = command.FormatName.png8,
    workers: command.Workers = 1,
    dask: command.Dask = None,
    key: command.Key = None,
    refuse_burned_in: command.Burned = False,
) -> None:
    """RSNA pneumonia challenge: chest radiographs, normal ones to train on."""
    with command.errors():
        recipe = RsnaCXR(variant.value, people)
    command.run_recipe(
        recipe,
        folder,
        output,
        seed=seed,
        format=format,
        workers=workers,
        dask=dask,
        key=key,
        refuse_burned_in=refuse_burned_in,
    )


app = command.application(rsna_cxr)

if __name__ == "__main__":
    app()
