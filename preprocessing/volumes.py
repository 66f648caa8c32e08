"""Any tree of DICOM, NIfTI, NRRD or MetaImage volumes to slices, seen as radiologists see them.

Whose a series is comes from DICOM's PatientID, from BIDS or nnU-Net names, or from the folder (`--patient` for other
layouts), and is said; what is
abnormal comes from masks (`--label` pattern), from a data list (`--datalist`), or `--normal` says that all is normal.
Patients are drawn to training, validation and test; to train on, only slices without a lesion are written.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Annotated, Any, ClassVar

import numpy as np
import typer
from numpy.typing import NDArray

from qfae_monai.cli.options import INCLUDE, VOLUME
from qfae_monai.data.acquisition import AXIAL, common_plane, planes_of
from qfae_monai.data.scan_picture import picture_of_entry
from qfae_monai.data.split_duplicates import joined_patients
from qfae_monai.files import sha256_of_files
from qfae_monai.privacy.pseudonyms import Pseudonyms
from qfae_monai.reading.background import Background, background_of
from qfae_monai.reading.geometry_risks import check_allow
from qfae_monai.reading.left_aside import check_include
from qfae_monai.reading.volume_choice import Choice, check_volume
from qfae_monai.reading.voxel_check import check_voxels
from qfae_monai.recipes import Cut, Recipe, Source, patient_planes, split_patients
from qfae_monai.recipes.discovery import datalist_sources, tree_sources
from qfae_monai.recipes.histograms import scale_to_unit
from qfae_monai.recipes.images import read_image_and_mask
from qfae_monai.transforms.foreground import foreground_percentiles

from . import command

NAMES = ("image", "label", "patient")  # parameters that may name somebody: a keyed hash of them is kept


@dataclass(frozen=True)
class Volumes(Recipe):
    """See the head of this file.

    Args:
        image: pattern of images, see :func:`qfae_monai.recipes.discovery.tree_sources`.
        label: pattern of masks.
        patient: expression of patients.
        datalist: data list instead of patterns; its sections are the splits.
        normal: whether an image without a mask is normal.
        axis: patient axis that is cut: 0 left to right, 1 posterior to anterior, 2 inferior to superior; None for the
            plane that most scans were acquired in.
        index_range: first and last slice along it, both included; None takes all.
        window: values that become 0 and 1, such as HU; None for percentiles of each volume's foreground.
        percentiles: of the foreground, that become 0 and 1.
        min_foreground: least share of a slice's pixels that are foreground, in [0, 1].
        fractions: of patients to train, valid and test.
        allow: risks that the reader may let pass.
        volume: of series that have several; `all` makes a source of each.
        include: kinds that are no scans, and are wanted all the same.
        group_duplicates: whether near-duplicates go to one split, as if they were of one patient.
    """

    image: str = "*"
    label: str | None = None
    patient: str | None = None
    datalist: Path | None = None
    normal: bool = False
    axis: int | None = None
    index_range: tuple[int, int] | None = None
    window: tuple[float, float] | None = None
    percentiles: tuple[float, float] = (0.5, 99.5)
    min_foreground: float = 0.01
    fractions: tuple[float, float, float] = (0.7, 0.1, 0.2)
    allow: tuple[str, ...] = ()
    volume: Choice = None
    include: tuple[str, ...] = ()
    group_duplicates: bool = False

    name: ClassVar[str] = "volumes"

    def __post_init__(self) -> None:
        if self.index_range is not None and not 0 <= self.index_range[0] <= self.index_range[1]:
            raise ValueError(f"expected a range 0 <= first <= last, got {self.index_range}.")
        if self.window is not None and not self.window[0] < self.window[1]:
            raise ValueError(f"expected a window low < high, got {self.window}.")
        if min(self.fractions) < 0 or not sum(self.fractions) > 0:
            raise ValueError(f"expected fractions of 0 or more, and not all 0, got {self.fractions}.")
        if self.group_duplicates and self.datalist is not None:
            raise ValueError(
                "--group-duplicates: expected scans that are to be split, got --datalist with its own splits"
            )

    def parameters(self, names: Pseudonyms) -> dict[str, Any]:
        values = asdict(self)
        if not self.group_duplicates:  # outputs of earlier versions go on
            del values["group_duplicates"]
        for name in NAMES:
            if values[name] not in (None, "*"):
                values[name] = f"hmac {names.setting(name, values[name])}"
        if self.datalist is not None:
            values["datalist"] = f"hmac {names.setting('datalist', sha256_of_files([self.datalist]))}"
        return values

    def find(self, folder: Path) -> list[Source]:
        if self.datalist is not None:
            return datalist_sources(self.datalist, normal=self.normal, volume=self.volume, include=self.include)
        return tree_sources(
            folder,
            image=self.image,
            label=self.label,
            patient=self.patient,
            normal=self.normal,
            volume=self.volume,
            include=self.include,
            allow=self.allow,
        )

    def settled(self, sources: Sequence[Source]) -> tuple[Recipe, list[str]]:
        usable = [one for one in sources if not one.refusal]
        said = [self._owners(usable)[1]] if self.group_duplicates else []
        if self.axis is not None:
            return self, said
        axis, why = common_plane([plane for one in usable for plane in planes_of(one.image)])
        return replace(self, axis=axis), [*said, f"slices across axis {axis}: {why}"]

    def plan(self, sources: Sequence[Source], surveys: Sequence[Any], seed: int) -> list[Source]:
        if self.datalist is not None or not sources:
            return list(sources)
        owners = self._owners(sources)[0] if self.group_duplicates else [source.patient for source in sources]
        splits = split_patients(owners, self.fractions, seed)
        return [replace(source, split=splits[owner]) for source, owner in zip(sources, owners, strict=True)]

    def _owners(self, sources: Sequence[Source]) -> tuple[list[str], str]:
        """Patient that each source is split with, and a sentence on them; pictures are kept from call to call."""
        entries = [{"image": list(one.image), "volume": one.volume, "include": one.include} for one in sources]
        return joined_patients([source.patient for source in sources], [picture_of_entry(entry) for entry in entries])

    def cut(self, source: Source) -> Iterator[Cut]:
        pair = read_image_and_mask(source, allow=self.allow)
        array = pair.image.array
        check_voxels(array, pair.image.files[0])
        background = background_of(array)
        low, high, rule = self._range(array, background)
        scale: dict[str, float | str] = {"rule": rule, "low": low, "high": high, "background": str(background)}
        axis = AXIAL if self.axis is None else self.axis
        planes = patient_planes(array, pair.image.affine, axis=axis)
        lesion = pair.lesion
        masks = None if lesion is None else patient_planes(lesion, pair.image.affine, axis=axis)
        first, last = self.index_range or (0, len(planes) - 1)
        for index in range(first, min(last, len(planes) - 1) + 1):
            raw = planes[index]
            mask = None if masks is None else np.ascontiguousarray(masks[index])
            abnormal = bool(source.image_label) if mask is None else bool(mask.any())
            tissue = np.count_nonzero(background.foreground(raw))
            if (abnormal and source.split == "train") or tissue < self.min_foreground * raw.size:
                continue
            yield Cut(
                index,
                source.split,
                scale_to_unit(raw, low, high),
                raw,
                mask,
                abnormal,
                planes.affine_of(index),
                planes.spacing,
                scale,
                pair.burned_in,
                pair.image.risks,
            )

    def _range(self, array: NDArray[Any], background: Background) -> tuple[float, float, str]:
        if self.window is not None:
            return (*self.window, "window")
        low, high = foreground_percentiles(array, *self.percentiles, background=background)
        if not low < high:
            raise ValueError(f"expected a foreground that varies, got {low:g} to {high:g}.")
        return low, high, "foreground percentiles {:g} and {:g}".format(*self.percentiles)


def volumes(
    folder: command.Input,
    output: command.Output,
    image: Annotated[
        str, typer.Option(help="Pattern of images: of a file name, or of a DICOM series' description or folder.")
    ] = "*",
    label: Annotated[str | None, typer.Option(help="The same of masks: above 0 is lesion.")] = None,
    patient: Annotated[
        str | None, typer.Option(help="Regular expression in a file's name or path; its group names the patient.")
    ] = None,
    datalist: Annotated[
        Path | None, typer.Option(help="JSON of training, validation and test instead of patterns.", dir_okay=False)
    ] = None,
    normal: Annotated[bool, typer.Option("--normal", help="What has no mask is normal; else it is refused.")] = False,
    axis: Annotated[
        int | None,
        typer.Option(min=0, max=2, help="0 sagittal, 1 coronal, 2 axial slices. Default: as most were acquired."),
    ] = None,
    index_range: Annotated[
        tuple[int, int] | None, typer.Option("--range", help="First and last slice, both included.")
    ] = None,
    window: Annotated[
        tuple[float, float] | None, typer.Option(help="Values to become black and white, such as HU -200 250.")
    ] = None,
    percentiles: Annotated[
        tuple[float, float], typer.Option(help="Of each volume's foreground, to become black and white.")
    ] = (0.5, 99.5),
    min_foreground: Annotated[
        float, typer.Option(min=0, max=1, help="Least share of a slice's pixels that are foreground.")
    ] = 0.01,
    fractions: Annotated[
        tuple[float, float, float], typer.Option(help="Of patients to train, validation and test.")
    ] = (0.7, 0.1, 0.2),
    allow: command.Allow = None,
    volume: str | None = VOLUME,
    include: list[str] | None = INCLUDE,
    group_duplicates: Annotated[
        bool, typer.Option("--group-duplicates", help="Keep near-duplicates in one split, as scans of one patient.")
    ] = False,
    seed: command.Seed = 42,
    format: command.Format = command.FormatName.png8,
    workers: command.Workers = 1,
    dask: command.Dask = None,
    key: command.Key = None,
    refuse_burned_in: command.Burned = False,
) -> None:
    """Any tree of DICOM or volume files to slices, split by patient."""
    with command.errors():
        recipe = Volumes(
            image,
            label,
            patient,
            datalist,
            normal,
            axis,
            index_range,
            window,
            percentiles,
            min_foreground,
            fractions,
            tuple(sorted(check_allow(allow or ()))),
            check_volume(volume),
            tuple(sorted(check_include(include or ()))),
            group_duplicates,
        )
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


app = command.application(volumes)

if __name__ == "__main__":
    app()
