"""Data: series read truthfully, data lists and data sets, and slices of volumes in memory or stored.

Names are imported when they are asked for: reading a series needs neither torch nor MONAI, whose import takes seconds.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from qfae_monai.data.acquisition import acquisition_axis, trained_axis
    from qfae_monai.data.geometry_risks import RISKS
    from qfae_monai.data.image_folder import check_folder_patients, image_folder_datalist
    from qfae_monai.data.input_folder import input_datalist
    from qfae_monai.data.pictures import LoadPicture, LoadPictured
    from qfae_monai.data.series import Series, read_series
    from qfae_monai.data.series_contents import contents_of, find_series
    from qfae_monai.data.series_reader import LoadSeries, LoadSeriesd, SeriesReader
    from qfae_monai.data.series_summary import SeriesSummary
    from qfae_monai.data.shared_items import SharedCacheDataset
    from qfae_monai.data.slice_store import SliceStore
    from qfae_monai.data.slices import SliceDataset
    from qfae_monai.data.volumes import check_patient_disjoint, volume_datalist

__all__ = [
    "RISKS",
    "LoadPicture",
    "LoadPictured",
    "LoadSeries",
    "LoadSeriesd",
    "Series",
    "SeriesReader",
    "SeriesSummary",
    "SharedCacheDataset",
    "SliceDataset",
    "SliceStore",
    "acquisition_axis",
    "check_folder_patients",
    "check_patient_disjoint",
    "contents_of",
    "find_series",
    "image_folder_datalist",
    "input_datalist",
    "read_series",
    "trained_axis",
    "volume_datalist",
]

MODULES = {
    "acquisition": ("acquisition_axis", "trained_axis"),
    "geometry_risks": ("RISKS",),
    "image_folder": ("check_folder_patients", "image_folder_datalist"),
    "input_folder": ("input_datalist",),
    "pictures": ("LoadPicture", "LoadPictured"),
    "series": ("Series", "read_series"),
    "series_contents": ("contents_of", "find_series"),
    "series_reader": ("LoadSeries", "LoadSeriesd", "SeriesReader"),
    "series_summary": ("SeriesSummary",),
    "shared_items": ("SharedCacheDataset",),
    "slice_store": ("SliceStore",),
    "slices": ("SliceDataset",),
    "volumes": ("check_patient_disjoint", "volume_datalist"),
}


def __getattr__(name: str) -> Any:
    for module, names in MODULES.items():
        if name in names:
            return getattr(import_module(f"{__name__}.{module}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
