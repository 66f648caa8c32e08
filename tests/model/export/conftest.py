"""Graphs written once for all tests: an ONNX export takes seconds."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

import pytest

from qfae_monai.model.export import ExportSource, WrittenGraph, read_source, write_graph
from tests.model.export.checkpoints import PAPER_LIKE, TINY, make_model


class Exported(NamedTuple):
    """A checkpoint, what was built of it, and its ONNX file."""

    checkpoint: Path
    source: ExportSource
    graph: WrittenGraph


@pytest.fixture(scope="session", params=[TINY, PAPER_LIKE], ids=["tiny", "paper-like"])
def exported(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Exported:
    for needed in ("onnx", "onnxscript", "onnxruntime"):
        pytest.importorskip(needed, reason="the extra export is not installed")
    folder = tmp_path_factory.mktemp("exported")
    source = read_source(make_model(folder / "model", request.param))
    return Exported(folder / "model" / "models" / "model.pt", source, write_graph(source, folder / "detector.onnx"))
