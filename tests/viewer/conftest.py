"""A served output folder of three studies."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from threading import Thread

import pytest

from qfae_monai.viewer.output_folder import OutputFolder
from qfae_monai.viewer.server import ViewerServer
from tests.viewer.output_factory import make_output

STUDIES = ("head-1", "head-2", "head 3 # %2F ü")


@pytest.fixture(scope="session")
def output(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_output(tmp_path_factory.mktemp("viewed") / "output", STUDIES)


@pytest.fixture(scope="session")
def server(output: Path) -> Iterator[ViewerServer]:
    with ViewerServer(OutputFolder(output), "127.0.0.1", 0) as running:
        Thread(target=running.serve_forever, daemon=True).start()
        yield running
        running.shutdown()
