"""Archives read where they lie: a damaged member fails alone, names stay below the archive, nothing is left."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

import nibabel as nib
import numpy as np
import pytest
import SimpleITK as sitk

from qfae_monai.reading import archive as archives
from qfae_monai.reading import find_series, read_series
from tests.reading import dicom_factory as factory

READ = """
import sys, time
from pathlib import Path

import SimpleITK as sitk
from qfae_monai.cli.options import ended_by_signals
from qfae_monai.reading import read_series

def wait(reader: sitk.ImageFileReader) -> None:
    print(Path(reader.GetFileName()).stat().st_size, flush=True)
    time.sleep(60)

sitk.ImageFileReader.ReadImageInformation = wait
with ended_by_signals():
    read_series(Path(sys.argv[1]))
"""
PIXELS = np.random.default_rng(0).integers(0, 99, (4, 5, 6)).astype(np.int16)


@pytest.fixture
def scratch(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Folder of temporary files."""
    folder = tmp_path / "scratch"
    folder.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(folder))
    yield folder
    assert not list(folder.iterdir())


@pytest.fixture
def archive(tmp_path: Path) -> Path:
    """Three series, a NIfTI, an NRRD and a MetaImage."""
    folder = tmp_path / "in"
    for number in range(3):
        factory.series(folder / f"s{number}", SeriesInstanceUID=f"1.2.3.{number}", SeriesNumber=number)
    nib.save(nib.Nifti1Image(PIXELS, np.diag([1.0, 2, 3, 1])), folder / "a.nii.gz")
    for suffix in ("nrrd", "mha"):
        sitk.WriteImage(sitk.GetImageFromArray(PIXELS), str(folder / f"a.{suffix}"))
    with zipfile.ZipFile(tmp_path / "a.zip", "w", zipfile.ZIP_DEFLATED) as packed:
        for path in sorted(folder.rglob("*")):
            packed.write(path, path.relative_to(folder))
    return tmp_path / "a.zip"


def _spoil(archive: Path, name: str) -> None:
    """Overwrite the compressed bytes of a member."""
    with zipfile.ZipFile(archive) as opened:
        info = opened.getinfo(name)
    content = bytearray(archive.read_bytes())
    start = info.header_offset + 30 + len(name)
    content[start : start + info.compress_size] = b"\xff" * info.compress_size
    archive.write_bytes(content)


def test_each_member_reads_as_its_file(archive: Path, scratch: Path) -> None:
    found = find_series(archive)
    assert sorted(summary.kind for summary in found) == ["DICOM", "DICOM", "DICOM", "MetaImage", "NIfTI", "NRRD"]
    for summary in found:
        alone = read_series(list(summary.files))
        outside = [archive.parent / "in" / file.relative_to(archive) for file in summary.files]
        assert np.array_equal(alone.array, read_series(outside).array)
        assert not list(scratch.glob("*"))


@pytest.mark.parametrize("name", ["s1/000.dcm", "a.nii.gz", "a.nrrd", "a.mha"])
def test_a_damaged_member_fails_alone(archive: Path, scratch: Path, name: str) -> None:
    _spoil(archive, name)
    found = find_series(archive)
    good = [summary for summary in found if summary.refusal is None and archive / name not in summary.files]
    assert len(good) >= 5
    for summary in good:
        if not (name.startswith("s1/") and summary.uid == "1.2.3.1"):
            read_series(list(summary.files))
    (bad,) = (summary for summary in found if archive / name in summary.files)
    with pytest.raises(ValueError, match=name.rsplit("/", maxsplit=1)[-1]):
        read_series(list(bad.files))


def test_a_member_that_bursts_or_is_encrypted_fails_alone(archive: Path) -> None:
    with zipfile.ZipFile(archive, "a", zipfile.ZIP_BZIP2) as packed:
        packed.writestr("zeros.dcm", bytes(80 << 20))
    content = bytearray(archive.read_bytes())
    entry = content.rindex(b"a.mha") - 46  # of the index
    content[entry + 8] |= 1  # says that it is encrypted
    archive.write_bytes(content)
    refused = {summary.files[0].name: summary.refusal for summary in find_series(archive) if summary.refusal}
    assert set(refused) == {"zeros.dcm", "a.mha"}
    assert "would grow from" in str(refused["zeros.dcm"])
    assert "encrypted" in str(refused["a.mha"])


@pytest.mark.parametrize("name", ["/etc/{}", "../../{}", "//x/{}"])
def test_names_stay_below_the_archive(tmp_path: Path, name: str) -> None:
    inside, outside = factory.series(tmp_path / "one", factory.volume() + 7), factory.series(tmp_path / "two")
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as packed:
        for path, target in zip(inside, outside, strict=True):
            packed.write(path, name.format(path.name) if name != "//x/{}" else str(target))
    (summary,) = find_series(tmp_path / "a.zip")
    assert all(file.is_relative_to(tmp_path / "a.zip") and ".." not in file.parts for file in summary.files)
    assert np.array_equal(read_series(list(summary.files)).array, (factory.volume() + 7).T)


def test_only_the_members_of_a_series_are_read(archive: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    summary = next(summary for summary in find_series(archive) if summary.uid == "1.2.3.1")
    opened: list[str] = []
    inflate = archives.Member.open

    def noted(member: archives.Member) -> BinaryIO:
        opened.append(member.info.filename)
        return inflate(member)

    monkeypatch.setattr(archives.Member, "open", noted)
    read_series(list(summary.files))
    assert {os.path.dirname(name) for name in opened} == {"s1"}


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere a killed process leaves them, as docs/privacy.md says")
@pytest.mark.parametrize("name", ["a.nrrd", "a.mha"])
@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGHUP, signal.SIGTERM])
def test_nothing_unpacked_outlives_the_process(archive: Path, scratch: Path, name: str, number: signal.Signals) -> None:
    before = sorted(archive.parent.rglob("*"))
    command = [sys.executable, "-c", READ, str(archive / name)]
    environment = {**os.environ, "TMPDIR": str(scratch)}
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment) as process:
        assert process.stdout is not None
        assert int(process.stdout.readline()) > PIXELS.nbytes  # the member lies unpacked
        assert not list(scratch.iterdir())
        process.send_signal(number)
        process.wait(30)
    assert sorted(archive.parent.rglob("*")) == before
