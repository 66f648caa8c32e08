"""What every room writes with: files whole or absent, CSV that no spreadsheet runs, one run at a time in a folder."""

from __future__ import annotations

from qfae_monai.files.lock import LOCK, give_back, one_writer, take
from qfae_monai.files.tables import csv_text, read_csv
from qfae_monai.files.whole import PARTIAL, remove_partials, sha256_of_files, whole_file, write_whole

__all__ = [
    "LOCK",
    "PARTIAL",
    "csv_text",
    "give_back",
    "one_writer",
    "read_csv",
    "remove_partials",
    "sha256_of_files",
    "take",
    "whole_file",
    "write_whole",
]
