"""The series reader in MONAI's seams: an ImageReader, and a loading transform that no other reader can slip into."""

from __future__ import annotations

from collections.abc import Collection, Hashable, Mapping, Sequence
from copy import copy
from os import PathLike
from typing import Any

import numpy as np
import torch
from monai.config import DtypeLike, KeysCollection
from monai.data import ImageReader, MetaTensor
from monai.transforms import LoadImage, MapTransform, Transform
from monai.utils import ImageMetaKey, ensure_tuple
from monai.utils.enums import MetaKeys, SpaceKeys

from qfae_monai.reading.geometry_risks import check_allow
from qfae_monai.reading.left_aside import INCLUDABLE, check_include
from qfae_monai.reading.lesion_values import lesion_of
from qfae_monai.reading.masks import read_mask
from qfae_monai.reading.series import Series, read_series
from qfae_monai.reading.series_files import VOLUME_SUFFIXES
from qfae_monai.reading.volume_choice import Choice, check_volume

__all__ = ["LoadSeries", "LoadSeriesd", "SeriesReader"]

LABEL = "label"
# what goes into the metadata of an image: nothing that identifies a person or an institution
META_ATTRIBUTES = (
    "kind",
    "modality",
    "photometric_interpretation",
    "bits_stored",
    "signed",
    "transfer_syntax",
    "burned_in_annotation",
)


class SeriesReader(ImageReader):
    """MONAI reader on `qfae_monai.reading.read_series`: DICOM, NIfTI, NRRD and MetaImage behind the geometry guard.

    Mind that `LoadImage(reader=SeriesReader())` silently tries MONAI's own readers when this one refuses a series;
    `LoadSeries` does not.

    Args:
        series: as in `read_series`.
        volume: as in `read_series`.
        allow: as in `read_series`.
        include: as in `read_series`.
    """

    def __init__(
        self,
        series: str | int | None = None,
        volume: Choice = None,
        allow: Collection[str] = (),
        include: Collection[str] = (),
    ) -> None:
        super().__init__()
        self.series, self.volume = series, check_volume(volume)
        self.allow, self.include = tuple(sorted(check_allow(allow))), tuple(sorted(check_include(include)))

    def verify_suffix(self, filename: Sequence[PathLike | str] | PathLike | str) -> bool:
        """True: what a file holds is decided by its content, and a file that is no image is refused by name."""
        return True

    def read(self, data: Sequence[PathLike | str] | PathLike | str, **kwargs: Any) -> list[Series]:
        """
        Args:
            data: a folder, file or archive; or a list of DICOM files, which make one series; or a list of volume files,
                which become channels.

        Raises:
            FileNotFoundError: when there is no such file.
            ValueError: when a series is refused.
        """
        if kwargs:
            raise ValueError(f"expected no further arguments, got {sorted(kwargs)}")
        sources = ensure_tuple(data)
        apart = len(sources) == 1 or _are_channels(sources)
        return [self._read(source) for source in sources] if apart else [self._read(sources)]

    def _read(self, source: Any) -> Series:
        return read_series(source, series=self.series, volume=self.volume, allow=self.allow, include=self.include)

    def get_data(self, img: Sequence[Series] | Series) -> tuple[np.ndarray, dict[str, Any]]:
        """
        Args:
            img: what `read` returned.

        Returns:
            Array (X, Y, Z), or (channels, X, Y, Z) of several files; and metadata: MONAI's keys, `risks` and
            `notes` as text, and what the header says of the pixels. It holds no identifier.
        """
        several = [img] if isinstance(img, Series) else list(img)
        first = several[0]
        for other in several[1:]:
            if other.array.shape != first.array.shape or not np.allclose(other.affine, first.affine, atol=1e-3):
                raise ValueError(
                    f"{other.files[0]}: expected the grid of {first.files[0]}, {first.array.shape} and "
                    f"{first.affine.tolist()}, got {other.array.shape} and {other.affine.tolist()}"
                )
        meta: dict[str, Any] = {
            MetaKeys.AFFINE: first.affine.copy(),
            MetaKeys.ORIGINAL_AFFINE: first.affine.copy(),
            MetaKeys.SPACE: SpaceKeys.RAS,
            MetaKeys.SPATIAL_SHAPE: np.array(first.array.shape),
            # NaN is MONAI's word for no channel axis
            MetaKeys.ORIGINAL_CHANNEL_DIM: float("nan") if len(several) == 1 else 0,
            "risks": "; ".join(risk for series in several for risk in series.risks),
            "notes": "; ".join(note for series in several for note in series.attributes["notes"]),
        }
        for name in META_ATTRIBUTES:
            value = first.attributes.get(name)
            meta[name] = "unknown" if value is None else value
        return first.array if len(several) == 1 else np.stack([series.array for series in several]), meta


class LoadSeries(Transform):
    """Load an image with `SeriesReader` and with nothing else: what it refuses stays refused.

    Args:
        series: as in `read_series`.
        volume: as in `read_series`.
        allow: as in `read_series`.
        dtype: of the image that is returned; None keeps the reader's.
        ensure_channel_first: whether a channel axis is put in front.
    """

    def __init__(
        self,
        series: str | int | None = None,
        volume: Choice = None,
        allow: Collection[str] = (),
        *,
        dtype: DtypeLike | torch.dtype | None = np.float32,
        ensure_channel_first: bool = True,
    ) -> None:
        self.reader = SeriesReader(series, volume, allow)
        self.loader = LoadImage(dtype=dtype, ensure_channel_first=ensure_channel_first)  # type: ignore[arg-type]
        self.loader.readers = [self.reader]

    def __call__(
        self, source: Sequence[PathLike | str] | PathLike | str, volume: Choice = None, include: Collection[str] = ()
    ) -> MetaTensor | torch.Tensor:
        """
        Args:
            source: folder, file, list of files or archive.
            volume: as in `read_series`, in place of the one that was given at first.
            include: as in `read_series`.

        Returns:
            (1, X, Y, Z) with `affine`; (X, Y, Z) where no channel was asked for.

        Raises:
            FileNotFoundError: when there is no such file.
            ValueError: when the series is refused.
        """
        reader = self.reader
        if volume is not None or include:
            reader = SeriesReader(reader.series, reader.volume if volume is None else volume, reader.allow, include)
        # a reader given at the call is used alone, and its errors come through as they are
        return self.loader(source, reader=reader)


class LoadSeriesd(MapTransform):
    """Dictionary twin of `LoadSeries`; the entry's own `volume` and `include` count, where it has them.

    Args:
        keys: keys of sources: the image's, then those of masks, which may be DICOM segmentations. A `label` is put on
            the image's grid where that is exact and becomes 0 and 1, see `qfae_monai.reading.masks.read_mask` and
            `qfae_monai.reading.lesion_values.lesion_of`.
        series: as in `read_series`.
        volume: as in `read_series`.
        allow: as in `read_series`.
        dtype: as in `LoadSeries`.
        ensure_channel_first: as in `LoadSeries`.
        allow_missing_keys: whether a key may be absent.
    """

    def __init__(
        self,
        keys: KeysCollection,
        series: str | int | None = None,
        volume: Choice = None,
        allow: Collection[str] = (),
        *,
        dtype: DtypeLike | torch.dtype | None = np.float32,
        ensure_channel_first: bool = True,
        allow_missing_keys: bool = False,
    ) -> None:
        super().__init__(keys, allow_missing_keys)
        self.load = LoadSeries(series, volume, allow, dtype=dtype, ensure_channel_first=ensure_channel_first)

    def __call__(self, data: Mapping[Hashable, Any]) -> dict[Hashable, Any]:
        d = dict(data)
        for key in self.key_iterator(d):
            volume, behind = d.get("volume"), key != self.keys[0]
            if behind and key == LABEL and self.keys[0] in d and not _are_channels(d[key]):
                d[key] = self._label(d[key], d[self.keys[0]], volume)
            else:
                d[key] = self.load(d[key], volume, INCLUDABLE if behind else d.get("include", ()))
        return d

    def as_stored(self) -> LoadSeriesd:
        """The same, that leaves an image the type in which it is stored."""
        twin, reader, loader = copy(self), self.load.reader, self.load.loader
        first = bool(loader.ensure_channel_first)
        twin.load = LoadSeries(reader.series, reader.volume, reader.allow, dtype=None, ensure_channel_first=first)
        return twin

    def _label(self, source: Any, image: torch.Tensor, volume: Choice) -> torch.Tensor:
        """A mask (1, X, Y, Z), 1 is lesion."""
        affine = np.asarray(image.affine if isinstance(image, MetaTensor) else np.eye(4), dtype=np.float64)
        reader = self.load.reader
        volume = reader.volume if volume is None else volume
        shape = tuple(image.shape[-3:])
        found = read_mask(source, shape, affine, series=reader.series, volume=volume, allow=reader.allow)
        name = str(found.files[0])
        meta = {**reader.get_data(found)[1], ImageMetaKey.FILENAME_OR_OBJ: name}
        lesion = torch.from_numpy(np.ascontiguousarray(lesion_of(found.array, name), dtype=np.float32))
        return MetaTensor(lesion[None], meta=meta)  # which holds the affine


def _are_channels(source: Any) -> bool:
    """Whether it is several volume files."""
    sources = ensure_tuple(source)
    return len(sources) > 1 and all(str(one).lower().endswith(VOLUME_SUFFIXES) for one in sources)
