"""Graphs written once for all tests: an ONNX export takes seconds."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

import pytest

from qfae_monai.export import ExportSource, WrittenGraph, read_source, write_graph
from tests.export.checkpoints import BUNDLE, PAPER_LIKE, TINY, make_checkpoint


class Exported(NamedTuple):
    """A checkpoint, what was built of it, and its ONNX file."""

    checkpoint: Path
    source: ExportSource
    graph: WrittenGraph


@pytest.fixture(scope="session", params=[TINY, PAPER_LIKE], ids=["tiny", "paper-like"])
def exported(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Exported:
    folder, settings = tmp_path_factory.mktemp("exported"), request.param
    checkpoint = make_checkpoint(folder / "model.pt", settings)
    source = read_source(BUNDLE, checkpoint, preset="tiny", settings=settings)
    return Exported(checkpoint, source, write_graph(source, folder / "detector.onnx"))
