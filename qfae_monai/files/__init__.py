"""The ground floor: files are written whole or not at all, and read as data that anyone may have written."""

from __future__ import annotations

from qfae_monai.files.lock import LOCK, give_back, one_writer, take
from qfae_monai.files.reading import parse_object, read_json, read_object, read_rows, reading_as
from qfae_monai.files.schema import checked
from qfae_monai.files.tables import csv_text, printable, shown
from qfae_monai.files.whole import (
    PARTIAL,
    remove_partials,
    sha256_of,
    sha256_of_files,
    whole_file,
    write_csv,
    write_json,
    write_whole,
)

__all__ = [
    "LOCK",
    "PARTIAL",
    "checked",
    "csv_text",
    "give_back",
    "one_writer",
    "parse_object",
    "printable",
    "read_json",
    "read_object",
    "read_rows",
    "reading_as",
    "remove_partials",
    "sha256_of",
    "sha256_of_files",
    "shown",
    "take",
    "whole_file",
    "write_csv",
    "write_json",
    "write_whole",
]
