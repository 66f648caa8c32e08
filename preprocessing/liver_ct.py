"""LiverCT as in BMAD and the paper: healthy livers of BTCV to train on, livers of LiTS to test.

INPUT holds, anywhere below it, BTCV's `imgNNNN.nii.gz` with `labelNNNN.nii.gz` (liver is 6) and LiTS's `volume-N.nii`
with `segmentation-N.nii` (liver is above 0, lesion is 2). Every slice with liver is taken: its minimum to
maximum to 8 bits, all but the liver black, rows flipped, histogram equalised inside the liver, dark values lifted; then
the paper's canvas (the liver at native size in the middle of 224 x 224 pixels) and bilateral filter.

Published: slices lie on their side, as BMAD's script saves them (rows along the first stored axis, flipped); LiTS is
clipped to [-200, 250] HU and BTCV is not, and validation is drawn from LiTS slice by slice, 93 : 833 of those without
and 73 : 660 of those with a lesion. Corrected: slices are upright (rows along the second stored axis, flipped); both go
through the one window [-200, 250] HU, which also is the range of every slice, and validation is drawn by patient.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Annotated, Any, ClassVar

import numpy as np
import torch
import typer
from monai.data import MetaTensor
from numpy.typing import NDArray

from qfae_monai.privacy.pseudonyms import Pseudonyms
from qfae_monai.reading.series import read_series
from qfae_monai.reading.series_files import walk
from qfae_monai.recipes import Cut, Recipe, Source, draw, share, split_patients, stored_planes
from qfae_monai.recipes.images import read_image_and_mask
from qfae_monai.transforms import BilateralFilter, EqualizeNonzero, QuantizeSlice, RegionCanvas
from qfae_monai.transforms.region_canvas import bounding_box

from . import command

BTCV, LITS = re.compile(r"img(\d+)\.nii(\.gz)?"), re.compile(r"volume-(\d+)\.nii(\.gz)?")
BTCV_LIVER, LITS_LESION = 6, 2
HU_LOW, HU_HIGH = -200, 250
NORMAL_VALID_TO_TEST, ABNORMAL_VALID_TO_TEST = (93, 833), (73, 660)  # slices
VALID_TO_TEST = (166, 1493)  # slices of both
SIDE = 224  # pixels, of the canvas


@dataclass(frozen=True)
class LiverCT(Recipe):
    """See the head of this file.

    Args:
        variant: "published" or "corrected".
        canvas: whether the paper's canvas and bilateral filter follow; without them the slices are BMAD's.
    """

    variant: str = "published"
    canvas: bool = True

    name: ClassVar[str] = "liver_ct"
    surveyed: ClassVar[bool] = True

    @property
    def formats(self) -> tuple[str, ...]:
        return ("png8", "npy")

    def find(self, folder: Path) -> list[Source]:
        files = [path for path in walk(folder)[0] if ".nii" in path.name.lower()]
        by_name = {path.name: path for path in files}
        train = [_source(path, "btcv", by_name, "label", "train") for path in files if BTCV.fullmatch(path.name)]
        test = [_source(path, "lits", by_name, "segmentation-", "test") for path in files if LITS.fullmatch(path.name)]
        if not train or not test:
            raise FileNotFoundError(
                f"{folder}: expected BTCV's imgNNNN.nii.gz and LiTS's volume-N.nii, "
                f"found {len(train)} and {len(test)} of them."
            )
        return train + test

    def parameters(self, names: Pseudonyms) -> dict[str, Any]:
        values = super().parameters(names)
        if self.variant == "published":
            values["pixels"] = "lying"  # outputs of earlier versions, upright, must not go on
        return values

    def survey(self, source: Source) -> dict[int, bool]:
        """Index of each slice with liver -> whether it has a lesion."""
        label = read_series(source.label[0]).array
        lesion = _lesion(source, label)
        slices = np.flatnonzero(_liver(source, label).any(axis=(0, 1)))
        return {int(k): bool(lesion[:, :, k].any()) for k in slices}

    def plan(self, sources: Sequence[Source], surveys: Sequence[Mapping[int, bool]], seed: int) -> list[Source]:
        held_out = {
            (source.patient, k): lesion
            for source, slices in zip(sources, surveys, strict=True)
            if source.split == "test"
            for k, lesion in slices.items()
        }
        if self.variant == "published":
            splits = _slice_by_slice(held_out, seed)
        else:
            patients = sorted({patient for patient, _ in held_out})
            by_patient = split_patients(patients, (0, *VALID_TO_TEST), seed) if patients else {}
            splits = {(patient, k): by_patient[patient] for patient, k in held_out}
        return [
            replace(source, split="", slices={k: splits.get((source.patient, k), "train") for k in slices})
            for source, slices in zip(sources, surveys, strict=True)
            if slices
        ]

    def cut(self, source: Source) -> Iterator[Cut]:
        pair = read_image_and_mask(source)
        assert pair.mask is not None
        views = partial(stored_planes, affine=pair.image.affine, flip_rows=True, lying=self.variant == "published")
        planes, livers = views(pair.image.array), views(_liver(source, pair.mask))
        lesions = views(_lesion(source, pair.mask))
        scale, clip = self._scaling(source)
        for index, split in sorted((source.slices or {}).items()):
            raw, liver, lesion = planes[index], livers[index], lesions[index]
            levels = scale(torch.from_numpy(np.ascontiguousarray(raw, dtype=np.float32))[None])
            image = EqualizeNonzero()(levels * torch.from_numpy(liver.astype(np.uint8)))
            slice_affine, mask, steps = planes.affine_of(index), lesion, "equalised inside the liver, lifted"
            spacing = planes.spacing
            if self.canvas:
                image, mask, slice_affine = _on_canvas(image, lesion, slice_affine)
                spacing = _spacing(slice_affine, spacing[2])
                steps += f", canvas {SIDE}, bilateral 9 75 75"
            low, high = (HU_LOW, HU_HIGH) if self.variant == "corrected" else (float(raw.min()), float(raw.max()))
            if clip:
                low, high = max(low, HU_LOW), min(high, HU_HIGH)
            yield Cut(
                index,
                split,
                np.asarray(image)[0].astype(np.uint8),
                np.where(liver, raw, HU_LOW),
                mask,
                bool(lesion.any()),
                slice_affine,
                spacing,
                {"rule": steps, "low": low, "high": high},
                pair.burned_in,
                pair.image.risks,
            )

    def _scaling(self, source: Source) -> tuple[QuantizeSlice | _Clipped, bool]:
        """HU to 8 bits, and whether HU are clipped before that."""
        if self.variant == "corrected":
            return QuantizeSlice(low=HU_LOW, high=HU_HIGH), True
        if source.name.startswith("lits"):
            return _Clipped(QuantizeSlice(constant="zero")), True
        return QuantizeSlice(constant="zero"), False


@dataclass(frozen=True)
class _Clipped:
    """Clip to the window first, so that a slice's minimum and maximum lie within it."""

    scale: QuantizeSlice

    def __call__(self, image: torch.Tensor) -> torch.Tensor:
        return self.scale(image.clamp(HU_LOW, HU_HIGH))


def _slice_by_slice(lesions: Mapping[tuple[str, int], bool], seed: int) -> dict[tuple[str, int], str]:
    """(patient, slice) -> "valid" or "test", drawn from slices without and with a lesion apart."""
    splits: dict[tuple[str, int], str] = {}
    for abnormal, ratio in ((False, NORMAL_VALID_TO_TEST), (True, ABNORMAL_VALID_TO_TEST)):
        names = {f"{patient}/{k:05d}": (patient, k) for (patient, k), lesion in lesions.items() if lesion == abnormal}
        valid = set(draw(list(names), share(len(names), ratio)[:1], seed)[0])
        splits |= {pair: "valid" if name in valid else "test" for name, pair in names.items()}
    return splits


def _on_canvas(
    image: torch.Tensor, lesion: NDArray[np.bool_], affine: NDArray[np.float64]
) -> tuple[torch.Tensor, NDArray[np.bool_], NDArray[np.float64]]:
    """Image, mask and affine on the canvas; the mask takes the image's way."""
    plain = MetaTensor(torch.as_tensor(np.asarray(image)), affine=torch.from_numpy(affine))
    box = bounding_box(plain)
    canvas = RegionCanvas(SIDE)(plain, box)
    mask = RegionCanvas(SIDE, "nearest")(torch.from_numpy(lesion.astype(np.uint8))[None], box)
    smooth = BilateralFilter()(canvas)
    return smooth, np.asarray(mask)[0] > 0, np.asarray(canvas.affine, dtype=np.float64)  # type: ignore[attr-defined]


def _spacing(affine: NDArray[np.float64], slices: float) -> tuple[float, float, float]:
    rows, columns = np.linalg.norm(affine[:3, :2], axis=0)
    return float(rows), float(columns), slices


def _liver(source: Source, label: NDArray[Any]) -> NDArray[np.bool_]:
    return label == BTCV_LIVER if source.name.startswith("btcv") else label > 0


def _lesion(source: Source, label: NDArray[Any]) -> NDArray[np.bool_]:
    return label == LITS_LESION if source.name.startswith("lits") else np.zeros(label.shape, dtype=bool)


def _source(path: Path, archive: str, by_name: dict[str, Path], prefix: str, split: str) -> Source:
    found = (BTCV if archive == "btcv" else LITS).fullmatch(path.name)
    assert found is not None
    number = found[1]
    names = [f"{prefix}{number}.nii{packed}" for packed in ("", ".gz")]
    label = next((by_name[name] for name in names if name in by_name), None)
    refusal = "" if label else f"{path}: expected its mask {' or '.join(names)}, found none."
    return Source(
        f"{archive}{number}",
        f"{archive} {path.name}",
        (str(path),),
        (str(label),) if label else (),
        split=split,
        refusal=refusal,
    )


def liver_ct(
    folder: command.Input,
    output: command.Output,
    variant: command.Variant = command.VariantName.published,
    canvas: Annotated[bool, typer.Option(help="The paper's canvas and bilateral filter behind BMAD's slices.")] = True,
    seed: command.Seed = 42,
    format: command.Format = command.FormatName.png8,
    workers: command.Workers = 1,
    dask: command.Dask = None,
    key: command.Key = None,
) -> None:
    """LiverCT: BTCV's healthy livers to train on, LiTS's livers to test."""
    recipe = LiverCT(variant.value, canvas)
    command.run_recipe(recipe, folder, output, seed=seed, format=format, workers=workers, dask=dask, key=key)


app = command.application(liver_ct)

if __name__ == "__main__":
    app()
