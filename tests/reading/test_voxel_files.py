"""Headers that name other files: one file of their own folder is read and hashed, whatever else they name is not."""

from __future__ import annotations

import zipfile
from pathlib import Path

import numpy as np
import pytest

from qfae_monai.reading import find_series, read_series
from qfae_monai.reading.voxel_files import voxel_files

VOXELS = np.arange(24, dtype="<i2")
SECRET = b"SECRET of another patient, long enough to be voxels ...."
NRRD = "NRRD0004\ntype: short\ndimension: 3\nsizes: 2 3 4\nendian: little\nencoding: raw\n"
META = "ObjectType = Image\nNDims = 3\nBinaryData = True\nDimSize = 2 3 4\nElementType = MET_SHORT\n"
HEADERS = {"a.nrrd": NRRD + "data file: {}\n", "a.mhd": META + "ElementDataFile = {}\n"}
HEADERS["a.mha"] = HEADERS["a.mhd"]
INSIDE = ["a.raw", "./a.raw", "sub/a.raw", "sub/b c.raw"]
OUTSIDE = [
    "{out}/secret.raw",
    "../secret.raw",
    "sub/../../secret.raw",
    "sub/../a.raw",
    "..\\secret.raw",
    "\\secret.raw",
    "C:\\secret.raw",
    "C:secret.raw",
    "\\\\host\\share\\a.raw",
    "//host/a.raw",
    "file://{out}/secret.raw",
    "~/a.raw",
    "/dev/zero",
    "/proc/self/environ",
    "/dev/stdin",
    "http://host/a.raw",
    "nul",
    "con.raw",
    "link.raw",
    "linked/secret.raw",
    "linked",
    "sub",
    ".",
    "..",
    "",
    "gone.raw",
    "a%d.raw 1 2 1",
    "%03d.raw 0 1 1 2",
    "LIST",
    "List 2",
    "a.raw\0.txt",
    "$HOME/a.raw",
    "a.raw|cat",
]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder with voxels in it, a secret beside it, and links to the secret."""
    (tmp_path / "secret.raw").write_bytes(SECRET)
    inside = tmp_path / "inside"
    (inside / "sub").mkdir(parents=True)
    for name in ("a.raw", "sub/a.raw", "sub/b c.raw"):
        (inside / name).write_bytes(VOXELS.tobytes())
    (inside / "link.raw").symlink_to(tmp_path / "secret.raw")
    (inside / "linked").symlink_to(tmp_path, target_is_directory=True)
    return inside


@pytest.mark.parametrize("header", HEADERS)
@pytest.mark.parametrize("name", INSIDE)
def test_a_file_of_the_folder_is_read_and_counts(folder: Path, header: str, name: str) -> None:
    path = folder / header
    path.write_text(HEADERS[header].format(name))
    assert np.array_equal(read_series(path).array, VOXELS.reshape(2, 3, 4, order="F"))
    assert voxel_files(path) == (path, folder / name)


@pytest.mark.parametrize("header", HEADERS)
@pytest.mark.parametrize("name", OUTSIDE)
def test_anything_else_is_refused_before_it_is_opened(folder: Path, header: str, name: str) -> None:
    path = folder / header
    path.write_bytes(HEADERS[header].format(name.format(out=folder.parent)).encode())
    for read in (read_series, voxel_files):
        with pytest.raises(ValueError, match=r"a\.\w+: .*(data file|ElementDataFile|header)") as refused:
            read(path)
        assert "SECRET" not in str(refused.value)
        assert "\n" not in str(refused.value)
    (summary,) = (found for found in find_series(folder) if found.files == (path,))
    assert summary.refusal is not None


def _after_padding(text: str, line: str) -> str:
    """A header whose data file is named behind 70,000 bytes of comments."""
    first, rest = text.split("\n", 1)
    comments = (f"{line}{'x' * 90}\n") * 700
    return f"{first}\n{comments}{rest}"


DISGUISED = {
    "lone carriage return": ("a.nrrd", NRRD + "content: x\rdata file: ../secret.raw\n\n"),
    "upper case": ("a.nrrd", NRRD + "DATA FILE: ../secret.raw\n\n"),
    "one word": ("a.nrrd", NRRD + "datafile: ../secret.raw\n\n"),
    "blanks": ("a.nrrd", NRRD + " data  file : ../secret.raw\n\n"),
    "twice": ("a.nrrd", NRRD + "data file: a.raw\ndatafile: ../secret.raw\n\n"),
    "far behind": ("a.nrrd", _after_padding(NRRD + "data file: ../secret.raw\n\n", "# ")),
    "colon": ("a.mhd", META + "ElementDataFile: ../secret.raw\n"),
    "no blanks": ("a.mhd", META + "ElementDataFile=../secret.raw\n"),
    "two names": ("a.mhd", META + "ElementDataFile = ../secret.raw\nElementDataFile = a.raw\n"),
    "far behind in MetaImage": ("a.mhd", _after_padding(META + "ElementDataFile = ../secret.raw\n", "Comment = ")),
}


@pytest.mark.parametrize("name", DISGUISED)
def test_a_disguised_name_is_seen(folder: Path, name: str) -> None:
    file, text = DISGUISED[name]
    (folder / file).write_bytes(text.encode())
    with pytest.raises(ValueError, match=r"data file|ElementDataFile"):
        read_series(folder / file)


SECOND_READINGS = [
    ["a.mha", META + "Comment\nElementDataFile = LOCAL\nElementDataFile = ../secret.raw\n"],
    ["a.mha", META + "elementdatafile = LOCAL\nElementDataFile = ../secret.raw\n"],
    ["a.nrrd", NRRD + "\ndata file: ../secret.raw\n"],
]


@pytest.mark.parametrize(("name", "text"), SECOND_READINGS)
def test_what_a_library_might_read_otherwise_gives_no_voxels_of_another_file(
    folder: Path, name: str, text: str
) -> None:
    """ITK parses the header for geometry, and is never asked for voxels."""
    (folder / name).write_bytes(text.encode() + VOXELS.tobytes())
    try:
        found = read_series(folder / name).array.tobytes(order="F")
    except ValueError:
        return
    assert SECRET[:20] not in found


def test_a_header_without_an_end_is_refused(folder: Path) -> None:
    (folder / "a.nrrd").write_bytes(NRRD.encode() + b"# x\n" * (1 << 19))
    (folder / "a.mha").write_bytes(META.encode())
    for name in ("a.nrrd", "a.mha"):
        with pytest.raises(ValueError, match=rf"{name}: expected a header that .* ends"):
            read_series(folder / name)


def test_an_archive_leads_nowhere_either(folder: Path) -> None:
    with zipfile.ZipFile(folder / "scan.zip", "w") as archive:
        archive.writestr("a.nrrd", HEADERS["a.nrrd"].format(folder.parent / "secret.raw"))
        archive.writestr("b.mhd", HEADERS["a.mhd"].format("../secret.raw"))
        link = zipfile.ZipInfo("c.raw")
        link.external_attr = 0o120777 << 16  # a symbolic link: its content is the path
        archive.writestr(link, str(folder.parent / "secret.raw"))
        archive.writestr("c.mhd", HEADERS["a.mhd"].format("c.raw"))
    summaries = find_series(folder / "scan.zip")
    assert {summary.files[0].name for summary in summaries} >= {"a.nrrd", "b.mhd", "c.mhd"}
    assert all(summary.refusal is not None for summary in summaries)


def test_other_files_are_their_own_voxels(tmp_path: Path) -> None:
    assert voxel_files(tmp_path / "a.nii.gz") == (tmp_path / "a.nii.gz",)
    (tmp_path / "a.mha").write_bytes((META + "ElementDataFile = LOCAL\n").encode())
    assert voxel_files(tmp_path / "a.mha") == (tmp_path / "a.mha",)
