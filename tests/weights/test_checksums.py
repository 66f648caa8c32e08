"""SHA256SUMS: the format of sha256sum, and what a check of a folder tells."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest

from qfae_monai.weights import ChangedFileError, check_folder
from qfae_monai.weights.checksums import SUMS_FILE, FolderCheck, read_sums, record_sum, verify_file


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Three recorded files."""
    folder = tmp_path / "weights"
    folder.mkdir()
    for name in ("a.bin", "b b.bin", "c.bin"):
        (folder / name).write_bytes(name.encode())
        record_sum(folder / name)
    return folder


def test_format_is_that_of_sha256sum(folder: Path) -> None:
    lines = (folder / SUMS_FILE).read_text().splitlines()
    assert lines == [f"{hashlib.sha256(name.encode()).hexdigest()}  {name}" for name in ("a.bin", "b b.bin", "c.bin")]


def test_a_new_record_replaces_the_old_one(folder: Path) -> None:
    (folder / "a.bin").write_bytes(b"new")
    record_sum(folder / "a.bin")
    assert len(read_sums(folder)) == 3
    verify_file(folder / "a.bin")


def test_check_tells_changed_missing_and_unlisted_files(folder: Path) -> None:
    assert check_folder(folder) == FolderCheck(("a.bin", "b b.bin", "c.bin"), (), (), ())
    (folder / "a.bin").write_bytes(b"other")
    (folder / "c.bin").unlink()
    (folder / "sub").mkdir()
    (folder / "sub" / "d.bin").write_bytes(b"")
    (folder / ".hidden").write_bytes(b"")
    result = check_folder(folder)
    assert result == FolderCheck(("b b.bin",), ("a.bin",), ("c.bin",), ("sub/d.bin",))
    assert not result.passed


def test_changed_file_names_both_sums(folder: Path) -> None:
    expected, found = (hashlib.sha256(data).hexdigest() for data in (b"a.bin", b"other"))
    (folder / "a.bin").write_bytes(b"other")
    with pytest.raises(ChangedFileError, match=rf"a\.bin has changed: .*expects SHA-256 {expected}, found {found}"):
        verify_file(folder / "a.bin")


def test_file_in_a_sub_folder_is_found_in_the_sums_above(folder: Path) -> None:
    (folder / "sub").mkdir()
    (folder / "sub" / "model.bin").write_bytes(b"x")
    with (folder / SUMS_FILE).open("a") as file:
        file.write(f"{'0' * 64} *sub/model.bin\n")
    with pytest.raises(ChangedFileError, match=r"expects SHA-256 0{64}"):
        verify_file(folder / "sub" / "model.bin")


def test_unlisted_file_is_loaded_with_a_warning(folder: Path, caplog: pytest.LogCaptureFixture) -> None:
    (folder / "d.bin").write_bytes(b"")
    verify_file(folder / "d.bin")
    assert "d.bin is not listed in the SHA256SUMS" in caplog.text


def test_without_sums_there_is_nothing_to_compare(tmp_path: Path) -> None:
    (tmp_path / "a.bin").write_bytes(b"")
    verify_file(tmp_path / "a.bin")
    with pytest.raises(FileNotFoundError, match=r"SHA256SUMS not found: expected the file that `qfae weights fetch`"):
        check_folder(tmp_path)


def test_malformed_line_is_named(folder: Path) -> None:
    (folder / SUMS_FILE).write_text("\nnot a sum\n")
    with pytest.raises(ValueError, match=r"SHA256SUMS, line 2: expected 64 hexadecimal digits.* found 'not a sum'"):
        check_folder(folder)
