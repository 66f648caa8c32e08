"""Runs of a recipe in this process, and what they left."""

from __future__ import annotations

import csv
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import pytest
import typer
from typer.testing import CliRunner


def pixels(path: Path) -> Any:
    """Values of an image file as stored."""
    image = cv2.imread(str(path), cv2.IMREAD_UNCHANGED)
    assert image is not None, path
    return image


@dataclass
class Run:
    """An output folder and how the command ended."""

    output: Path
    exit_code: int
    text: str

    @property
    def rows(self) -> list[dict[str, str]]:
        return list(csv.DictReader((self.output / "manifest.csv").open()))

    @property
    def refused(self) -> list[dict[str, str]]:
        return list(csv.DictReader((self.output / "refused.csv").open()))

    @property
    def counts(self) -> dict[tuple[str, int], int]:
        """(split, label) -> images."""
        return dict(Counter((row["split"], int(row["label"])) for row in self.rows))

    def patients(self, split: str) -> set[str]:
        return {row["patient"] for row in self.rows if row["split"] == split}

    def files(self) -> dict[str, bytes]:
        return {str(p.relative_to(self.output)): p.read_bytes() for p in self.output.rglob("*") if p.is_file()}


@pytest.fixture
def key(tmp_path: Path) -> Path:
    path = tmp_path / "test.key"
    path.write_text("5a" * 32)
    return path


@pytest.fixture
def run(tmp_path: Path, key: Path) -> Any:
    """`python -m preprocessing.<recipe>` in this process: run(app, folder, *options, name=output's name)."""

    def invoke(app: typer.Typer, folder: Path, *options: object, name: str = "out") -> Run:
        output = tmp_path / name
        arguments = [str(folder), str(output), "--key", str(key), *map(str, options)]
        result = CliRunner().invoke(app, arguments)
        if result.exception and not isinstance(result.exception, SystemExit):
            raise result.exception
        return Run(output, result.exit_code, result.output)

    return invoke
