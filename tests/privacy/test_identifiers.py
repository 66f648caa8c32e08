"""Reasons of refusals keep their meaning and lose their names."""

from __future__ import annotations

import os
import struct
import zlib
from pathlib import Path

import pytest
from pydicom.errors import BytesLengthException

from qfae_monai.privacy.identifiers import reason_of, without_identifiers


def test_paths_names_and_uids_go_and_numbers_stay(tmp_path: Path) -> None:
    files = [tmp_path / "Doe^John" / name for name in ("scan-a.dcm", "scan-b.dcm")]
    for file in files:
        file.parent.mkdir(exist_ok=True)
        file.write_bytes(b"no dicom")
    reason = (
        f"{files[1]}: expected a gap of 5.00 mm behind scan-a.dcm, got 10.00 mm in series 1.2.840.99999.1.2 "
        f"of MRN-77, see /home/anna/list.csv [missing-slice]"
    )
    assert without_identifiers(reason, files) == (
        "file 2: expected a gap of 5.00 mm behind file 1, got 10.00 mm in series … of …, see /… [missing-slice]"
    )


QUOTED = [
    "expected Rows 1 to 65535, got 'Doe^John'",
    "damaged (ValueError: invalid literal for int() with base 10: '19610317')",
    "got Doe John, born 1961-03-17, ID MR4711 at 12:30:45 in /home/doe/x [4711,0815]",
    "unknown (1.2.840.4711.77) doe\x1b[31m",
]


@pytest.mark.parametrize("text", QUOTED)
def test_what_a_file_says_does_not_pass(text: str) -> None:
    left = without_identifiers(text)
    assert not [word for word in ("Doe", "John", "1961", "03-17", "4711", "0815", "doe", "\x1b") if word in left]


def test_names_of_files_stand_where_they_may_without_their_folders(tmp_path: Path) -> None:
    file = tmp_path / "Doe" / "scan one.nii.gz"
    text = f"{file}: expected a NIfTI file, got a damaged one (scan one.nii.gz in {file.parent})"
    assert without_identifiers(text, [file], names=True).startswith("scan one.nii.gz: expected a NIfTI file, got a")
    assert without_identifiers(text, [file]).startswith("file 1: expected a NIfTI file")
    assert "Doe" not in without_identifiers(text, [file], names=True)
    odd = tmp_path / os.fsdecode(b"M\xfcller\x1b.nii")
    without_identifiers(f"{odd}: expected", [odd], names=True).encode()


class _Unprintable(ValueError):
    def __str__(self) -> str:
        raise RecursionError


KINDS: list[BaseException] = [
    BytesLengthException("Doe"),
    zlib.error("Error -3 Doe"),
    RecursionError("Doe"),
    MemoryError(),
    struct.error("Doe"),
    OverflowError("Doe"),
    UnicodeDecodeError("utf-8", b"Doe", 0, 1, "Doe"),
    SystemError("Doe"),
    UserWarning("Doe"),
    _Unprintable(),
    KeyError("Doe"),
    BaseException("Doe"),
]


@pytest.mark.parametrize("error", KINDS, ids=lambda error: type(error).__name__)
def test_every_error_has_a_reason_and_none_is_raised(error: BaseException) -> None:
    reason = reason_of(error, [Path("Doe.dcm")])
    assert reason
    assert "Doe" not in reason


def test_a_short_number_is_no_file_that_is_called_so(tmp_path: Path) -> None:
    files = [tmp_path / f"{name}.dcm" for name in (2, 12345678)]
    text = "expected 2 slices, got 12345678 in 2.dcm"
    assert without_identifiers(text, files) == "expected 2 slices, got file 2 in file 1"


def test_a_word_of_our_own_is_no_file_that_is_called_so(tmp_path: Path) -> None:
    text = f"{tmp_path / 'a.nii'}: expected a NIfTI file, got a damaged one"
    assert without_identifiers(text, [tmp_path / "a.nii"]) == "file 1: expected a NIfTI file, got a damaged one"
