"""Series and volumes read truthfully: DICOM, NIfTI, NRRD, MetaImage, guarded for their geometry.

Reading a series needs neither torch nor MONAI, whose import takes seconds.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from qfae_monai.lazy import lazy_names

if TYPE_CHECKING:
    from qfae_monai.reading.geometry_risks import RISKS
    from qfae_monai.reading.series import Series, read_series
    from qfae_monai.reading.series_contents import contents_of, find_series
    from qfae_monai.reading.series_reader import LoadSeries, LoadSeriesd, SeriesReader
    from qfae_monai.reading.series_summary import SeriesSummary

__all__ = [
    "RISKS",
    "LoadSeries",
    "LoadSeriesd",
    "Series",
    "SeriesReader",
    "SeriesSummary",
    "contents_of",
    "find_series",
    "read_series",
]

__getattr__ = lazy_names(
    __name__,
    {
        "geometry_risks": ("RISKS",),
        "series": ("Series", "read_series"),
        "series_contents": ("contents_of", "find_series"),
        "series_reader": ("LoadSeries", "LoadSeriesd", "SeriesReader"),
        "series_summary": ("SeriesSummary",),
    },
)
