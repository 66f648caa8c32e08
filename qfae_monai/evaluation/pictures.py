"""The picture of a case in the report: input, reconstruction, anomaly map and mask of chosen slices, in one JPEG."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from io import BytesIO
from pathlib import Path

import cv2
import matplotlib
import numpy as np
from numpy.typing import ArrayLike, NDArray
from PIL import Image

from qfae_monai.files import write_json, write_whole
from qfae_monai.files.tables import is_file_name
from qfae_monai.outline import draw_outline

__all__ = [
    "BRIGHTEST",
    "MAP_COLOURS",
    "as_seen",
    "choose_slices",
    "fit",
    "pixel_shape",
    "save_pictures",
    "window",
]

MAP_COLOURS = "inferno"
QUALITY = 80  # of the JPEG
TINY = 1e-30  # stands for the width of a window of one value
BRIGHTEST = 99.8  # percentile of the input that is shown white


def save_pictures(  # noqa: PLR0917  # a case's arrays have one natural order
    folder: Path,
    case: str,
    image: NDArray,
    reconstruction: NDArray,
    anomaly_map: NDArray,
    label: NDArray | None,
    scores: ArrayLike,
    *,
    axis: int = 2,
    tile: int = 128,
    max_slices: int = 32,
    map_limit: float | None = None,
    spacing: Sequence[float] | None = None,
) -> Path:
    """Write `<case>.jpg`, rows of input, reconstruction, anomaly map and mask, a column a slice; and `<case>.json`.

    Volumes are shown as radiologists see them: anterior (or superior) up, the patient's right on the left. The
    reconstruction is fitted to the input's grey values by one straight line per case, for the eye alone.

    Args:
        folder: made where it is missing.
        case: name of the files.
        image, reconstruction, anomaly_map: (X, Y, Z) in the orientation RAS, or (H, W) as seen.
        label: of the same shape, above 0 is lesion; None where there is no mask.
        scores: one per slice, NaN for slices that were not scored; of an image one number.
        axis: along which a volume's slices are taken.
        tile: pixels of a slice's longer side.
        max_slices: columns at most, 4 or more.
        map_limit: map value that gets the brightest colour; None for the largest of the case. Zero is black.
        spacing: of a volume's voxels in mm; None for pixels as wide as high.

    Returns:
        Path of the JPEG.

    Raises:
        ValueError: for shapes that differ, scores of another number than the slices, or a case that names no file.
    """
    scores = np.atleast_1d(np.asarray(scores, dtype=np.float64))
    parts = {"image": image, "reconstruction": reconstruction, "anomaly_map": anomaly_map}
    if label is not None:
        parts["label"] = label
    _check(case, parts, scores, axis)
    stacks = {name: as_seen(np.asarray(part), axis) for name, part in parts.items()}
    lesions = (stacks["label"] > 0).sum((1, 2)) if label is not None else None
    shown = choose_slices(scores, lesions, max_slices=max_slices)
    stacks = {name: stack[shown].astype(np.float32) for name, stack in stacks.items()}
    limit = float(stacks["anomaly_map"].max() if map_limit is None else map_limit)
    rows = _rows(stacks, limit, tile, pixel_shape(spacing, axis, np.ndim(image)))
    described = {
        "slices": [int(index) for index in shown],
        "scores": [float(score) if np.isfinite(score) else None for score in scores[shown]],
        "tile": tile,
        "rows": list(rows),
        "map_limit": limit,
    }
    path = folder / f"{case}.jpg"
    write_whole(path, _jpeg(np.concatenate([np.concatenate(tiles, axis=1) for tiles in rows.values()])))
    write_json(folder / f"{case}.json", described, indent=None)
    return path


def choose_slices(scores: NDArray, lesions: NDArray | None, *, max_slices: int) -> NDArray[np.intp]:
    """Slices to show, ascending: spread evenly over the scored ones, and always those a reader would ask for.

    Those are the highest-scored slice, the one with the largest lesion, the worst miss (the lowest-scored with a
    lesion) and the worst false alarm (the highest-scored without). Where no slice was scored, all count as scored.

    Args:
        scores: (N,), NaN for slices that were not scored.
        lesions: (N,), lesion pixels; None without a mask.
        max_slices: 4 or more.
    """
    if max_slices < 4:
        raise ValueError(f"expected max_slices of 4 or more, got {max_slices}")
    scored = np.flatnonzero(np.isfinite(scores))
    if not len(scored):
        scored = np.arange(len(scores))
    if len(scored) <= max_slices:
        return scored
    heights = np.nan_to_num(scores[scored])
    wanted = {int(scored[heights.argmax()])}
    if lesions is not None:
        sizes = lesions[scored]
        wanted.add(int(scored[sizes.argmax()]))
        if (sizes > 0).any():
            wanted.add(int(scored[np.where(sizes > 0, heights, np.inf).argmin()]))
        if (sizes == 0).any():
            wanted.add(int(scored[np.where(sizes == 0, heights, -np.inf).argmax()]))
    others = np.setdiff1d(scored, list(wanted))
    even = others[np.linspace(0, len(others) - 1, max_slices - len(wanted)).round().astype(int)]
    return np.union1d(even, list(wanted))


def _check(case: str, parts: Mapping[str, NDArray], scores: NDArray, axis: int) -> None:
    if not is_file_name(case):
        raise ValueError(f"expected a case that can name a file, got {case!r}")
    shapes = {name: np.shape(part) for name, part in parts.items()}
    shape = shapes["image"]
    if len(set(shapes.values())) != 1 or len(shape) not in (2, 3):
        raise ValueError(f"{case}: expected arrays of one shape, (X, Y, Z) or (H, W), got {shapes}")
    count = 1 if len(shape) == 2 else shape[axis]
    if len(scores) != count:
        raise ValueError(f"{case}: expected one score for each of {count} slices, got {len(scores)}")


def _rows(
    stacks: Mapping[str, NDArray], limit: float, tile: int, shape: tuple[float, float]
) -> dict[str, list[NDArray]]:
    """Name -> tiles (tile, tile, 3) in [0, 1], one per slice of the stacks (N, H, W)."""
    image = stacks["image"]
    low, high = float(image.min()), float(np.percentile(image, BRIGHTEST))
    colours = matplotlib.colormaps[MAP_COLOURS]
    grey = [fit(window(pixels, low, high), tile, shape) for pixels in image]
    fitted = [fit(window(pixels, low, high), tile, shape) for pixels in _like(stacks["reconstruction"], image)]
    heat = [fit(window(pixels, 0.0, limit), tile, shape) for pixels in stacks["anomaly_map"]]
    rows = {
        "input": [_rgb(pixels) for pixels in grey],
        "reconstruction": [_rgb(pixels) for pixels in fitted],
        "anomaly map": [colours(pixels)[..., :3] for pixels in heat],
    }
    if "label" not in stacks:
        return {**rows, "no mask": [np.zeros((tile, tile, 3))] * len(grey)}
    masks = [_outlined(seen, mask > 0, tile, shape) for seen, mask in zip(grey, stacks["label"], strict=True)]
    return {**rows, "mask": masks}


def as_seen(part: NDArray, axis: int) -> NDArray:
    """(X, Y, Z) or (H, W) -> (N, rows, columns) the radiological way up.

    Turning both remaining axes around makes RAS into LPS, and transposed that is how DICOM viewers show it.
    """
    return part[None] if part.ndim == 2 else np.moveaxis(part, axis, 0)[:, ::-1, ::-1].transpose(0, 2, 1)


def pixel_shape(spacing: Sequence[float] | None, axis: int, dims: int) -> tuple[float, float]:
    """Height and width of a shown pixel, relative to each other."""
    if spacing is None or dims == 2:
        return 1.0, 1.0
    width, height = (float(length) for place, length in enumerate(spacing) if place != axis)
    return height, width


def window(pixels: NDArray, low: float, high: float) -> NDArray:
    """Values from `low` to `high` -> [0, 1]."""
    return ((pixels - low) / max(high - low, TINY)).clip(0, 1)


def _like(pixels: NDArray, target: NDArray) -> NDArray:
    """The least-squares line from `pixels` to `target`, applied to `pixels`; a constant becomes the target's mean."""
    centred = pixels - pixels.mean()
    spread = float((centred**2).mean())
    slope = float((centred * (target - target.mean())).mean()) / spread if spread > 0 else 0.0
    return slope * centred + target.mean()


def fit(pixels: NDArray, tile: int, shape: tuple[float, float]) -> NDArray:
    """(H, W) in [0, 1] -> (tile, tile), the sides' ratio kept, black around."""
    height, width = pixels.shape[0] * shape[0], pixels.shape[1] * shape[1]
    scale = tile / max(height, width)
    size = max(1, round(width * scale)), max(1, round(height * scale))
    shrinks = size[0] < pixels.shape[1] and size[1] < pixels.shape[0]
    small = cv2.resize(
        np.ascontiguousarray(pixels, np.float32), size, interpolation=cv2.INTER_AREA if shrinks else cv2.INTER_LINEAR
    )
    top, left = (tile - small.shape[0]) // 2, (tile - small.shape[1]) // 2
    framed = np.zeros((tile, tile), np.float32)
    framed[top : top + small.shape[0], left : left + small.shape[1]] = small
    return framed


def _outlined(grey: NDArray, mask: NDArray, tile: int, shape: tuple[float, float]) -> NDArray:
    """The input with the lesion outlined, (tile, tile, 3) in [0, 1]; darkened, not to be taken for the input itself."""
    lesion = fit(mask.astype(np.float32), tile, shape) > 0.25
    return draw_outline(np.rint(_rgb(grey) * 160).astype(np.uint8), lesion) / 255


def _rgb(grey: NDArray) -> NDArray:
    return np.repeat(grey[..., None], 3, axis=-1)


def _jpeg(pixels: NDArray) -> bytes:
    """(H, W, 3) in [0, 1] -> JPEG; colours at full resolution, or outlines one pixel wide would smear."""
    stream = BytesIO()
    Image.fromarray(np.rint(pixels * 255).astype(np.uint8)).save(
        stream, "JPEG", quality=QUALITY, subsampling=0, optimize=True
    )
    return stream.getvalue()
