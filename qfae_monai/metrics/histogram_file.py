"""`pixels.npz` of a run folder: the histograms of every map over the test set, and of the anomaly map case by case."""

from __future__ import annotations

import io
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from qfae_monai.data.prepare.files import write_whole
from qfae_monai.metrics.histogram import COARSE_BITS, FINE_BITS, MapHistogram

FIELDS = ("bins", "normal", "lesion", "region", "regions")


@dataclass(frozen=True)
class PixelHistograms:
    """What is kept of all pixels of the scored slices.

    maps: name -> histogram over all cases, 20 bits: `anomaly_map`, `image` and, where they are on, `mean_distance`
        and `neighbours`.
    cases: case -> histogram of its anomaly map, 16 bits; cases without a mask are absent.
    """

    maps: Mapping[str, MapHistogram] = field(default_factory=dict)
    cases: Mapping[str, MapHistogram] = field(default_factory=dict)

    def save(self, path: Path) -> None:
        """Write the file, whole or not at all.

        Raises:
            ValueError: if a histogram does not keep the bits of its place.
        """
        for kept, bits in ((self.maps, FINE_BITS), (self.cases, COARSE_BITS)):
            wrong = [name for name, histogram in kept.items() if histogram.bits != bits]
            if wrong:
                raise ValueError(f"{path}: expected {bits} bits, got {kept[wrong[0]].bits} in {wrong[0]}")
        arrays = {f"{name}/{key}": getattr(histogram, key) for name, histogram in self.maps.items() for key in FIELDS}
        names = sorted(self.cases)
        parts = [self.cases[name] for name in names]
        arrays["cases"] = np.array(names, dtype=np.str_)
        arrays["case_offsets"] = np.cumsum([0, *(len(part.bins) for part in parts)])
        arrays["case_regions"] = np.array([part.regions for part in parts], dtype=np.int64)
        empty = MapHistogram.merge([], COARSE_BITS)
        for key in FIELDS[:-1]:
            arrays[f"case_{key}"] = np.concatenate([getattr(part, key) for part in (empty, *parts)])
        content = io.BytesIO()
        np.savez_compressed(content, **arrays)
        write_whole(path, content.getvalue())

    @classmethod
    def load(cls, path: Path) -> PixelHistograms:
        """Read the file.

        Raises:
            ValueError: if an array is missing.
        """
        with np.load(path, allow_pickle=False) as archive:
            arrays = {key: archive[key] for key in archive.files}
        names = sorted({key.split("/")[0] for key in arrays if "/" in key})
        wanted = [f"{name}/{key}" for name in names for key in FIELDS]
        wanted += ["cases", "case_offsets", *(f"case_{key}" for key in FIELDS)]
        missing = [key for key in wanted if key not in arrays]
        if missing:
            raise ValueError(f"{path}: expected arrays {', '.join(wanted)}; missing {', '.join(missing)}")
        maps = {name: MapHistogram(**{key: arrays[f"{name}/{key}"] for key in FIELDS[:-1]},
                                   regions=int(arrays[f"{name}/regions"]))
                for name in names}  # fmt: skip
        cases: dict[str, MapHistogram] = {}
        for number, name in enumerate(arrays["cases"]):
            inside = slice(*arrays["case_offsets"][number : number + 2])
            parts = {key: arrays[f"case_{key}"][inside] for key in FIELDS[:-1]}
            cases[str(name)] = MapHistogram(**parts, regions=int(arrays["case_regions"][number]), bits=COARSE_BITS)
        return cls(maps, cases)
