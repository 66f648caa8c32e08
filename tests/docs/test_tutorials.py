"""The tutorials run from their first cell to their last, and are kept without outputs."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Any

import pytest

nbformat = pytest.importorskip("nbformat", reason="tutorials are notebooks")

FOLDER = Path(__file__).parents[2] / "docs" / "tutorials"
TUTORIALS = ("train-and-predict", "dicom-to-report")
"""In the order in which they are read: each goes on in the folder of the one before."""

KEPT = "QFAE_TUTORIALS"
"""Environment variable: folder to leave executed notebooks in, for the documentation site."""


def test_tutorials_are_kept_without_outputs() -> None:
    assert {path.stem for path in FOLDER.glob("*.ipynb")} == set(TUTORIALS)
    for name in TUTORIALS:
        cells = nbformat.read(FOLDER / f"{name}.ipynb", as_version=4).cells
        assert all(not cell.outputs and cell.execution_count is None for cell in cells if cell.cell_type == "code"), (
            name
        )


@pytest.mark.tutorial
def test_tutorials_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    client = pytest.importorskip("nbclient")
    pytest.importorskip("ipykernel")
    pytest.importorskip("highdicom", reason="the extra `dicom`")
    monkeypatch.setenv("PATH", f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}")
    monkeypatch.delenv("MPLBACKEND", raising=False)  # the kernel draws into the notebook
    for name in TUTORIALS:
        notebook: Any = nbformat.read(FOLDER / f"{name}.ipynb", as_version=4)
        place = {"metadata": {"path": str(tmp_path)}}
        client.NotebookClient(notebook, timeout=900, resources=place, coalesce_streams=True).execute()
        outputs = [output for cell in notebook.cells for output in cell.get("outputs", ())]
        assert any("image/png" in output.get("data", {}) for output in outputs), name
        if KEPT in os.environ:
            kept = Path(os.environ[KEPT])
            kept.mkdir(parents=True, exist_ok=True)
            nbformat.write(notebook, kept / f"{name}.ipynb")
