"""Data: series read truthfully, data lists and data sets, and slices of volumes in memory or stored."""

from __future__ import annotations

from qfae_monai.data.geometry_guard import RISKS
from qfae_monai.data.image_folder import image_folder_datalist
from qfae_monai.data.series import Series, SeriesSummary, find_series, read_series
from qfae_monai.data.series_reader import LoadSeries, LoadSeriesd, SeriesReader
from qfae_monai.data.slice_store import SliceStore
from qfae_monai.data.slices import SliceDataset
from qfae_monai.data.volumes import check_patient_disjoint, input_datalist, volume_datalist

__all__ = [
    "RISKS",
    "LoadSeries",
    "LoadSeriesd",
    "Series",
    "SeriesReader",
    "SeriesSummary",
    "SliceDataset",
    "SliceStore",
    "check_patient_disjoint",
    "find_series",
    "image_folder_datalist",
    "input_datalist",
    "read_series",
    "volume_datalist",
]
