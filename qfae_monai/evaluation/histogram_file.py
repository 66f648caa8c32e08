"""`pixels.npz` of a run folder: histograms of every map over the test set, of each case, and peaks of false alarms."""

from __future__ import annotations

import io
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from qfae_monai.evaluation.histogram import COARSE_BITS, FINE_BITS, MapHistogram
from qfae_monai.files import write_whole

NEIGHBOURS = "neighbour_"
"""How the arrays of the nearest neighbours' cases begin."""

FIELDS = ("bins", "normal", "lesion", "region", "regions")
BITS = "bits"  # not in older files, where every histogram had those of its place
PEAKS = "peak_"
"""How the arrays of the false peaks begin."""


@dataclass(frozen=True)
class PixelHistograms:
    """Histograms of all pixels of the scored slices.

    maps: name -> histogram over all cases, of 20 bits or more: `anomaly_map`, `image` and, where they are on,
        `mean_distance` and `neighbours`.
    cases: case -> histogram of its anomaly map, of 16 bits or more; cases without a mask are absent.
    neighbour_cases: the same of the map `neighbours`; empty where it is off, and in files of older versions.
    peaks: case -> highest value of each detection that touches no lesion (see `froc.py`), highest first; empty in files
        of older versions.
    """

    maps: Mapping[str, MapHistogram] = field(default_factory=dict)
    cases: Mapping[str, MapHistogram] = field(default_factory=dict)
    neighbour_cases: Mapping[str, MapHistogram] = field(default_factory=dict)
    peaks: Mapping[str, NDArray[np.float32]] = field(default_factory=dict)

    def save(self, path: Path) -> None:
        """Write the file, whole or not at all.

        Raises:
            ValueError: if a histogram keeps fewer bits than its place asks for.
        """
        for kept, bits in (
            (self.maps, FINE_BITS),
            (self.cases, COARSE_BITS),
            (self.neighbour_cases, COARSE_BITS),
        ):
            wrong = [name for name, histogram in kept.items() if histogram.bits < bits]
            if wrong:
                raise ValueError(f"{path}: expected {bits} bits or more, got {kept[wrong[0]].bits} in {wrong[0]}")
        arrays = {
            f"{name}/{key}": getattr(histogram, key) for name, histogram in self.maps.items() for key in (*FIELDS, BITS)
        }
        arrays |= _pack(self.cases)
        if self.neighbour_cases:
            arrays |= _pack(self.neighbour_cases, NEIGHBOURS)
        if self.peaks:
            arrays |= _pack_peaks(self.peaks)
        content = io.BytesIO()
        np.savez_compressed(content, **arrays)  # in memory first, so that the file is whole or absent
        write_whole(path, content.getvalue())

    @classmethod
    def load(cls, path: Path) -> PixelHistograms:
        """Read the file.

        Raises:
            ValueError: if an array is missing.
        """
        try:
            with np.load(path, allow_pickle=False) as archive:  # a pickle would run code
                arrays = {key: archive[key] for key in archive.files}
        except FileNotFoundError:
            raise
        except Exception as error:  # each kind of damage has its own; numpy's text says how to run a pickle
            raise ValueError(
                f"{path}: expected arrays of numbers, got a file that is damaged or holds something else "
                f"({type(error).__name__})"
            ) from None
        names = sorted({key.split("/")[0] for key in arrays if "/" in key})
        wanted = [f"{name}/{key}" for name in names for key in FIELDS]
        wanted += _names()
        if f"{NEIGHBOURS}cases" in arrays:  # absent where it was off, and in older files
            wanted += _names(NEIGHBOURS)
        if f"{PEAKS}cases" in arrays:  # absent in older files
            wanted += [f"{PEAKS}offsets", f"{PEAKS}values"]
        missing = [key for key in wanted if key not in arrays]
        if missing:
            raise ValueError(f"{path}: expected arrays {', '.join(wanted)}; missing {', '.join(missing)}")
        maps = {
            name: MapHistogram(
                **{key: arrays[f"{name}/{key}"] for key in FIELDS[:-1]},
                regions=int(arrays[f"{name}/regions"]),
                bits=int(arrays.get(f"{name}/{BITS}", FINE_BITS)),
            )
            for name in names
        }
        neighbours = _unpack(arrays, NEIGHBOURS) if f"{NEIGHBOURS}cases" in arrays else {}
        return cls(maps, _unpack(arrays), neighbours, _unpack_peaks(arrays))


def _names(prefix: str = "") -> list[str]:
    return [f"{prefix}{name}" for name in ("cases", "case_offsets", *(f"case_{key}" for key in FIELDS))]


def _pack(cases: Mapping[str, MapHistogram], prefix: str = "") -> dict[str, NDArray]:
    """Histograms of cases end to end."""
    names = sorted(cases)
    parts = [cases[name] for name in names]
    empty = MapHistogram.merge([], COARSE_BITS)
    return {
        f"{prefix}cases": np.array(names, dtype=np.str_),
        f"{prefix}case_offsets": np.cumsum([0, *(len(part.bins) for part in parts)]),
        f"{prefix}case_regions": np.array([part.regions for part in parts], dtype=np.int64),
        f"{prefix}case_{BITS}": np.array([part.bits for part in parts], dtype=np.int64),
        **{
            f"{prefix}case_{key}": np.concatenate([getattr(part, key) for part in (empty, *parts)])
            for key in FIELDS[:-1]
        },
    }


def _unpack(arrays: Mapping[str, NDArray], prefix: str = "") -> dict[str, MapHistogram]:
    found: dict[str, MapHistogram] = {}
    for number, name in enumerate(arrays[f"{prefix}cases"]):
        inside = slice(*arrays[f"{prefix}case_offsets"][number : number + 2])
        parts = {key: arrays[f"{prefix}case_{key}"][inside] for key in FIELDS[:-1]}
        regions = int(arrays[f"{prefix}case_regions"][number])
        bits = int(arrays[f"{prefix}case_{BITS}"][number]) if f"{prefix}case_{BITS}" in arrays else COARSE_BITS
        found[str(name)] = MapHistogram(**parts, regions=regions, bits=bits)
    return found


def _pack_peaks(peaks: Mapping[str, NDArray[np.float32]]) -> dict[str, NDArray]:
    names = sorted(peaks)
    return {
        f"{PEAKS}cases": np.array(names, dtype=np.str_),
        f"{PEAKS}offsets": np.cumsum([0, *(len(peaks[name]) for name in names)]),
        f"{PEAKS}values": np.concatenate([np.empty(0, np.float32), *(peaks[name] for name in names)]),
    }


def _unpack_peaks(arrays: Mapping[str, NDArray]) -> dict[str, NDArray[np.float32]]:
    if f"{PEAKS}cases" not in arrays:
        return {}
    parts = np.split(arrays[f"{PEAKS}values"], arrays[f"{PEAKS}offsets"][1:-1])
    return {str(name): part for name, part in zip(arrays[f"{PEAKS}cases"], parts, strict=True)}
