"""No warning quotes a header's value: in plain Python, and in worker processes however they are started."""

from __future__ import annotations

import warnings
from pathlib import Path

import pydicom
import pytest
from monai.data import DataLoader, Dataset

from qfae_monai.reading import LoadSeriesd, find_series, read_series
from tests.reading.dicom_factory import series

SECRETS = ("Doe" * 30, "12.34.secret", "secret-date", "123456789.123456789123456789")


@pytest.fixture
def scan(tmp_path: Path) -> Path:
    """A series whose headers hold values that their types do not allow."""
    series(tmp_path / "scan")
    for file in (tmp_path / "scan").iterdir():
        header = pydicom.dcmread(file)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            header.PatientName, header.ReferringPhysicianName = SECRETS[0], SECRETS[0]
            header.add_new(0x00080016, "UI", pydicom.uid.CTImageStorage)
            header.add_new(0x00200052, "UI", SECRETS[1])
            header.add_new(0x00100030, "DA", SECRETS[2])
            header.add_new(0x00101030, "DS", SECRETS[3])
            pydicom.dcmwrite(file, header)
    return tmp_path / "scan"


def test_plain_python(scan: Path, capfd: pytest.CaptureFixture[str]) -> None:
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        read_series(scan)
        find_series(scan)
        LoadSeriesd("image")({"image": str(scan)})
    said = " ".join(str(one.message) for one in caught) + "".join(capfd.readouterr())
    assert not any(secret[:9] in said for secret in SECRETS)


@pytest.mark.slow
@pytest.mark.parametrize("start", ["fork", "spawn"])
def test_workers(scan: Path, start: str, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTHONWARNINGS", "always")
    dataset = Dataset([{"image": str(scan)}], LoadSeriesd("image"))
    with warnings.catch_warnings():
        warnings.simplefilter("always")
        assert len(list(DataLoader(dataset, num_workers=1, multiprocessing_context=start))) == 1
    said = "".join(capfd.readouterr())
    assert not any(secret[:9] in said for secret in SECRETS)
