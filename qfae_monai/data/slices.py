"""Slices of volumes, read once and kept in memory or in a store: what the autoencoder is trained on."""

from __future__ import annotations

import logging
from bisect import bisect_right
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from itertools import accumulate
from os import PathLike
from typing import Any

from joblib import Parallel, delayed
from monai.data import Dataset
from tqdm import tqdm

from qfae_monai.data.shared_items import SharedItems
from qfae_monai.data.slice_store import SliceStore
from qfae_monai.data.volume_slices import SliceCutter, VolumeSlices
from qfae_monai.files.cores import spare_cores
from qfae_monai.reading.quiet_libraries import quiet_headers

__all__ = ["SliceDataset"]

logger = logging.getLogger(__name__)

READERS = 4
"""Volumes read at a time, at most: with one for each of many cores, none might find the memory that it needs."""


class SliceDataset(Dataset):
    """Slices of volumes as a MONAI dataset.

    Each volume is read once, by `volume_transform`, several at a time where there are cores; its slices stay in memory
    as float32. Training sets of the paper's size fit: 7,500 slices of 240 x 240 are 1.7 GB. Larger ones go to a
    `store`, a folder: the slices are written there at the first start and mapped from there at every later one; the
    pixels are the same. `data` lists them as dictionaries of `image` (1, H, W), `case`, `slice_index`, `position` along
    the stack in [0, 1] and, where known, `patient`, `label` (1, H, W; 1 is lesion, 0 is not) and `image_label` (1
    abnormal, 0 normal, of the slice), with new tensors at each access. Slices of different volumes may differ in size.
    Worker processes share them, however they are started.

    Args:
        data: dictionaries of volumes, as `qfae_monai.data.volume_datalist` lists them.
        volume_transform: gives `image` (1, X, Y, Z) and, where there is one, `label` on its grid.
        transform: applied to a slice's dictionary each time it is asked for.
        axis: spatial axis (0, 1 or 2) that is cut across, in the volume as `volume_transform` leaves it.
        index_range: first and last slice to take, both included; None takes all.
        share: of the foreground's extent to take instead, as in `qfae_monai.transforms.SliceChoice`; None takes all.
        normal_only: whether slices with any label voxel above 0 are left out. No labels are kept then: all are 0.
        min_foreground: least share of a slice's pixels that are foreground, in [0, 1]; others are left out as empty.
        store: folder of a `qfae_monai.data.SliceStore`; None keeps the slices in memory.
        progress: whether to show a progress bar over the volumes.

    Raises:
        ValueError: when a volume cannot be read, is not one finite 3D image, or has a label on another grid; when
            `normal_only` is asked for and nothing says what is normal; when no slice is left; when there is a
            `store` and `volume_transform` is random or has a part that cannot be told from another.
    """

    def __init__(
        self,
        data: Sequence[dict[str, Any]],
        volume_transform: Callable[[dict[str, Any]], Any],
        transform: Callable | Sequence[Callable] | None = None,
        *,
        axis: int = 2,
        index_range: tuple[int, int] | None = None,
        share: tuple[float, float] | None = None,
        normal_only: bool = False,
        min_foreground: float = 0.01,
        store: str | PathLike | None = None,
        progress: bool = False,
    ) -> None:
        cut: Callable[[dict[str, Any]], VolumeSlices] = SliceCutter(
            volume_transform,
            axis=axis,
            index_range=index_range,
            share=share,
            normal_only=normal_only,
            min_foreground=min_foreground,
        )
        if store is not None:
            cut = SliceStore(store, cut)
        owners = [
            {
                "case": str(entry.get("case", entry.get("image"))),
                **{key: entry[key] for key in ("patient",) if key in entry},
            }
            for entry in data
        ]
        with quiet_headers():  # once for all threads: what is silenced is the process's
            # in the order of the data; threads, for reading and counting leave the interpreter to others
            read = Parallel(n_jobs=min(READERS, spare_cores()), prefer="threads", return_as="generator")(
                delayed(cut)(entry) for entry in data
            )
            bar = tqdm(read, desc="reading volumes", unit="volume", total=len(data), disable=not progress)
            slices = _ListedSlices(list(zip(owners, bar, strict=True)))
        skipped: Counter[str] = sum((Counter(volume.skipped) for volume in slices.volumes), Counter())
        reasons = ", ".join(f"{count} {reason}" for reason, count in skipped.items()) or "none skipped"
        if not slices:
            raise ValueError(f"expected slices from {len(data)} volumes, got none: {reasons}")
        logger.info("%d slices from %d volumes; skipped: %s", len(slices), len(data), reasons)
        super().__init__(slices, transform)


class _ListedSlices(Sequence[dict[str, Any]]):
    """The slices of all volumes, one after the other; a slice is copied out when it is asked for."""

    def __init__(self, volumes: Sequence[tuple[dict[str, Any], VolumeSlices]]) -> None:
        self.owners = [owner for owner, _ in volumes]  # `case` and `patient` of each
        self.volumes = SharedItems(slices for _, slices in volumes)
        self.ends = list(accumulate(map(len, self.volumes)))

    def __len__(self) -> int:
        return self.ends[-1] if self.ends else 0

    def __iter__(self) -> Iterator[dict[str, Any]]:
        return (self[index] for index in range(len(self)))

    def __getitem__(self, index: Any) -> Any:
        """One sample, or a list of them for a slice object."""
        if isinstance(index, slice):
            return [self[one] for one in range(*index.indices(len(self)))]
        position = range(len(self))[index]  # checked, and counted from the end where negative
        number = bisect_right(self.ends, position)
        volume = self.volumes[number]
        return {**volume.sample(position - self.ends[number] + len(volume)), **self.owners[number]}
