"""Series with an identity to lose, and results for them."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from qfae_monai.predict.dicom_results import write_dicom_results
from qfae_monai.predict.model_identity import ModelIdentity
from qfae_monai.reading import Series, read_series
from tests.reading import dicom_factory as factory

MODEL = ModelIdentity("0123456789abcdef" * 4)
IDENTITY: dict[str, Any] = {
    "PatientName": "Identifiable^Person",
    "PatientID": "HOSPITAL-0815",
    "PatientBirthDate": "19610102",
    "PatientSex": "F",
    "PatientAge": "061Y",
    "AccessionNumber": "ACC-42-4242",
    "StudyID": "STUDYID-77",
    "StudyDate": "20230405",
    "StudyTime": "101112",
    "SeriesDate": "20230406",
    "AcquisitionDate": "20230407",
    "StudyDescription": "Private study words",
    "SeriesDescription": "Private series words",
    "ReferringPhysicianName": "Referring^Doctor",
    "PerformingPhysicianName": "Performing^Doctor",
    "InstitutionName": "Saint Elsewhere",
    "InstitutionAddress": "Road 12",
    "StationName": "STATION-9",
    "DeviceSerialNumber": "SERIAL-31337",
    "ManufacturerModelName": "Scanner-Model-X",
    "OperatorsName": "Operator^Some",
    "ProtocolName": "PROTOCOL-Z",
    "FrameOfReferenceUID": "1.2.826.0.1.3680043.8.498.77.5",
    "PositionReferenceIndicator": "",
}
MR = {**IDENTITY, "SOPClassUID": factory.MR, "Modality": "MR"}
CT = {**IDENTITY, "SOPClassUID": factory.CT, "Modality": "CT", "RescaleSlope": 1, "RescaleIntercept": -1024}


def pixels(shape: Sequence[int] = (5, 16, 12), dtype: Any = np.int16) -> np.ndarray:
    """(slices, rows, columns) of noise."""
    return np.random.default_rng(3).integers(0, 900, tuple(shape)).astype(dtype)


def result_of(series: Series) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """An anomaly map, a mask and a score per slice; no two voxels of the map are alike."""
    anomaly_map = np.random.default_rng(5).random(series.array.shape).astype(np.float32)
    return anomaly_map, anomaly_map > 0.7, anomaly_map.mean(axis=(0, 1))


Written = tuple[Series, np.ndarray, np.ndarray, Path]


@pytest.fixture
def write(tmp_path: Path) -> Callable[..., Written]:
    """Read a series, invent a result, write it: the series, the map, the mask and the folder."""

    def written(source: Any, **options: Any) -> Written:
        volume = options.pop("volume", None)
        series = read_series(source, volume=volume, allow=options.pop("allow", ()))
        anomaly_map, mask, scores = result_of(series)
        folder = tmp_path / "out"
        write_dicom_results(series, source, anomaly_map, mask, scores, folder, **{"model": MODEL, **options})
        return series, anomaly_map, mask, folder

    return written


def assert_valid(folder: Path) -> None:
    """dicom3tools' validator finds no error in any file."""
    if shutil.which("dciodvfy") is None:
        pytest.skip("dciodvfy (package dicom3tools) is not on the PATH")
    files = sorted(folder.glob("*.dcm"))
    assert files
    for file in files:
        run = subprocess.run(["dciodvfy", str(file)], capture_output=True, text=True, check=False)
        said = run.stdout + run.stderr
        assert any(name in said for name in ("Segmentation", "ParametricMap", "SCImage")), said
        assert not [line for line in said.splitlines() if line.startswith("Error")], f"{file.name}: {said}"
