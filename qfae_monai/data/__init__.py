"""Data lists and data sets: patients told apart, slices of volumes in memory or stored, phantoms.

Configurations of earlier models have `LoadSeriesd` and its like here; they are in `qfae_monai.reading`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from qfae_monai.lazy import lazy_names

if TYPE_CHECKING:
    from qfae_monai.data.acquisition import acquisition_axis, trained_axis
    from qfae_monai.data.columns import check_columns
    from qfae_monai.data.image_folder import check_folder_patients, image_folder_datalist
    from qfae_monai.data.input_folder import input_datalist
    from qfae_monai.data.pictures import LoadPicture, LoadPictured
    from qfae_monai.data.shared_items import SharedCacheDataset
    from qfae_monai.data.slice_store import SliceStore
    from qfae_monai.data.slices import SliceDataset
    from qfae_monai.data.volumes import check_patient_disjoint, volume_datalist

__all__ = [
    "LoadPicture",
    "LoadPictured",
    "SharedCacheDataset",
    "SliceDataset",
    "SliceStore",
    "acquisition_axis",
    "check_columns",
    "check_folder_patients",
    "check_patient_disjoint",
    "image_folder_datalist",
    "input_datalist",
    "trained_axis",
    "volume_datalist",
]

__getattr__ = lazy_names(
    __name__,
    {
        ".reading": ("LoadSeries", "LoadSeriesd", "SeriesReader"),
        "acquisition": ("acquisition_axis", "trained_axis"),
        "columns": ("check_columns",),
        "image_folder": ("check_folder_patients", "image_folder_datalist"),
        "input_folder": ("input_datalist",),
        "pictures": ("LoadPicture", "LoadPictured"),
        "shared_items": ("SharedCacheDataset",),
        "slice_store": ("SliceStore",),
        "slices": ("SliceDataset",),
        "volumes": ("check_patient_disjoint", "volume_datalist"),
    },
)
