"""Input and output of a recipe: a source (one series of one patient), and the slices cut from it."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from qfae_monai.files.whole import files_below
from qfae_monai.privacy.pseudonyms import Pseudonyms
from qfae_monai.reading.volume_choice import Choice
from qfae_monai.reading.voxel_files import voxel_files

__all__ = ["SPLITS", "Cut", "Recipe", "Source"]

SPLITS = ("train", "valid", "test")  # folders of BMAD


@dataclass(frozen=True)
class Source:
    """One series, before it is read. Nothing of this is ever written: outputs carry pseudonyms.

    Attributes:
        patient: whose it is, as the source names them.
        name: what tells the series from all others of the data set.
        image: files of the image; a folder stands for the series of DICOM files in it.
        label: files of the mask on the image's grid; empty where there is none.
        series: what selects the image's series where several lie together; None where there is one.
        label_series: the same for the mask's.
        image_label: 0 says that the whole series is normal, 1 that it is abnormal; None that its mask tells.
        split: "train", "valid" or "test", where all slices go to one.
        slices: slice index -> split, where the recipe's plan names them one by one; None where cutting decides.
        refusal: why it must not be used, where that shows before it is read.
        told_by: how the patient was told from others, in words.
        volume: which one of several in its series.
        include: kinds of what is no scan that it is one of.
    """

    patient: str
    name: str
    image: tuple[str, ...]
    label: tuple[str, ...] = ()
    series: str | None = None
    label_series: str | None = None
    image_label: int | None = None
    split: str = ""
    slices: Mapping[int, str] | None = None
    refusal: str = ""
    told_by: str = "names of the data set"
    volume: Choice = None
    include: tuple[str, ...] = ()

    @property
    def paths(self) -> list[Path]:
        """Files and folders of image and mask."""
        return [Path(name) for name in (*self.image, *self.label)]

    @property
    def files(self) -> list[Path]:
        """All files of image and mask, folders walked, sorted within each."""
        return [file for path in self.paths for file in (files_below(path) if path.is_dir() else [path])]

    @property
    def voxel_files(self) -> list[Path]:
        """All files that voxels come from: `files`, and those that headers among them name.

        Raises:
            ValueError: when a header names a file that it must not.
        """
        # once each: a set would lose the order that hashes need
        return list(dict.fromkeys(file for named in self.files for file in voxel_files(named)))


@dataclass(frozen=True, eq=False)
class Cut:
    """One slice, ready to be written.

    Attributes:
        index: of the slice in its volume, from 0.
        split: "train", "valid" or "test".
        image: (H, W), uint8, or float in [0, 1]; or (H, W, 4), uint8: red, green, blue and opacity.
        raw: (H, W), the same pixels before scaling, in the source's unit; for the histograms.
        mask: (H, W), boolean, True is lesion; None where there is no mask.
        abnormal: whether the slice is abnormal.
        affine: (4, 4), (row, column, 0, 1) of the image to RAS+ mm; None where the source does not say.
        spacing: distance between rows, between columns and between slices, mm; None where the source does not say.
        scaling: how `raw` became `image`, by name.
        burned_in: "yes" or "no" where the header says whether text is burned into the pixels; else empty.
        risks: what the reader was allowed to let pass, in its words.
    """

    index: int
    split: str
    image: NDArray[Any]
    raw: NDArray[Any]
    mask: NDArray[np.bool_] | None
    abnormal: bool
    affine: NDArray[np.float64] | None = None
    spacing: tuple[float, float, float] | None = None
    scaling: dict[str, float | str] = field(default_factory=dict)
    burned_in: str = ""
    risks: tuple[str, ...] = ()


class Recipe(ABC):
    """Conversion of a data set to slices. A recipe is a frozen dataclass: its fields are its parameters."""

    name: ClassVar[str]
    surveyed: ClassVar[bool] = False
    """Whether the plan depends on what the masks hold, so that they are read before it."""

    @property
    def formats(self) -> tuple[str, ...]:
        """What the images may be written as: 8 bits, 16 bits, float32."""
        return ("png8", "png16", "npy")

    @property
    def title(self) -> str:
        """Name of the recipe and of its variant, where it has several."""
        variant = getattr(self, "variant", "")
        return f"{self.name} {variant}".strip()

    def parameters(self, names: Pseudonyms) -> dict[str, Any]:
        """Settings that decide the outputs besides seed, format and key, as JSON values; a resumed run needs the same.

        Args:
            names: stand for what may name a patient: the settings are part of the output.
        """
        return asdict(self)  # type: ignore[call-overload]

    @abstractmethod
    def find(self, folder: Path) -> list[Source]:
        """Series of the data set in `folder`.

        Raises:
            FileNotFoundError: when the folder does not hold the data set's layout.
        """

    def settled(self, sources: Sequence[Source]) -> tuple[Recipe, list[str]]:
        """The recipe with what it takes from the data set as a whole, and sentences that say what that is."""
        return self, []

    def survey(self, source: Source) -> Any:
        """Facts about a source's mask that the plan needs."""
        raise NotImplementedError(f"{type(self).__name__} is not surveyed")

    @abstractmethod
    def plan(self, sources: Sequence[Source], surveys: Sequence[Any], seed: int) -> list[Source]:
        """The sources with their splits; sources that give no slice are left out.

        Args:
            sources: what `find` found, less what could not be surveyed.
            surveys: what `survey` said of each; empty where the recipe is not surveyed.
            seed: of every draw.
        """

    @abstractmethod
    def cut(self, source: Source) -> Iterator[Cut]:
        """Slices of a planned source.

        Raises:
            ValueError: when the source must not be used, with the reason.
        """
