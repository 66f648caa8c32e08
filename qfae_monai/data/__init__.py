"""Data lists and data sets: which files there are, who they belong to, and slices of volumes in memory or stored."""

from __future__ import annotations

from qfae_monai.data.image_folder import image_folder_datalist
from qfae_monai.data.slice_store import SliceStore
from qfae_monai.data.slices import SliceDataset
from qfae_monai.data.volumes import check_patient_disjoint, input_datalist, volume_datalist

__all__ = [
    "SliceDataset",
    "SliceStore",
    "check_patient_disjoint",
    "image_folder_datalist",
    "input_datalist",
    "volume_datalist",
]
