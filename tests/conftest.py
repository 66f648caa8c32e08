"""Trained models of the smallest preset, made once for all tests: read them, write nothing into them."""

from __future__ import annotations

import logging
import multiprocessing
import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from filelock import FileLock
from typer.testing import CliRunner

from qfae_monai.cli import app
from qfae_monai.data.phantoms import write_phantom_cohort
from qfae_monai.files.configurations import path_text
from qfae_monai.model.bundle import Bundle
from qfae_monai.model.folder import NETWORK
from qfae_monai.model.importing import import_checkpoint
from qfae_monai.model.training import train
from tests.forked import PRELOADED

# Tests run on the CPU, where the same seed gives the same bytes and two processes need no two GPUs; QFAE_TEST_GPU=1 has
# them run on a GPU, but for those marked `cpu`.
ON_GPU = bool(os.environ.get("QFAE_TEST_GPU"))
if not ON_GPU:
    os.environ["CUDA_VISIBLE_DEVICES"] = ""

multiprocessing.set_forkserver_preload(PRELOADED)

BUDGET = 100
"""Images of the shortest training: three epochs of 48 slices."""


SLOW_FOLDERS = (
    "tests/bundles/",
    "tests/cli/",
    "tests/deploy/",
    "tests/docs/",
    "tests/experiments/",
    "tests/model/",
    "tests/predict/",
    "tests/preprocessing/",
    "tests/wheel/",
    "tests/files/test_planted.py",
)
SLOW_FIXTURES = {"model_folder", "trained_folder", "compared", "exported", "straight"}


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark as slow what needs a trained model, runs a bundle or draws reports; what starts a process says so itself."""
    for item in items:
        if item.nodeid.startswith(SLOW_FOLDERS) or SLOW_FIXTURES & set(getattr(item, "fixturenames", ())):
            item.add_marker("slow")


def pytest_runtest_setup(item: pytest.Item) -> None:
    """Leave out on a GPU what can hold on a CPU only."""
    if ON_GPU and item.get_closest_marker("cpu"):
        pytest.skip("holds on a CPU only: sums on a GPU have no fixed order, and two processes need two of them")


@pytest.fixture(autouse=True)
def no_handlers_of_other_tests() -> None:
    """Remove log handlers whose stream an earlier test closed: they would say so in this test's output."""
    for logger in (logging.root, *logging.root.manager.loggerDict.values()):
        for handler in list(getattr(logger, "handlers", ())):
            if getattr(getattr(handler, "stream", None), "closed", False):
                logger.removeHandler(handler)  # type: ignore[union-attr]  # a placeholder has none


def made_once(factory: pytest.TempPathFactory, name: str, make: Callable[[Path], object]) -> Path:
    """A folder that the first test process which needs it makes, for all of them."""
    base = factory.getbasetemp()
    folder = (base.parent if "PYTEST_XDIST_WORKER" in os.environ else base) / f"made-{name}"
    complete = Path(f"{folder}.complete")
    with FileLock(f"{folder}.lock"):
        if not complete.exists():
            shutil.rmtree(folder, ignore_errors=True)
            folder.mkdir()
            make(folder)
            complete.touch()
    return folder


@pytest.fixture(scope="session")
def scans(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folder with dataset.json and a handful of phantoms in image/ and label/."""
    counts = {"train": 3, "validation": 3, "test_normal": 1, "test_abnormal": 2}
    return made_once(tmp_path_factory, "scans", lambda folder: write_phantom_cohort(folder, **counts, seed=5))


@pytest.fixture(scope="session")
def model_folder(scans: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Model of volumes after one epoch, with thresholds and a fingerprint."""

    def make(folder: Path) -> None:
        settings = {
            "preset": "tiny",
            "dataset_dir": path_text(scans),
            "model_dir": path_text(folder / "model"),
            "max_epochs": 1,
            "val_interval": 1,
        }
        Bundle(["train", "datasets/phantoms"], settings).run("training", quiet=True)
        Bundle(["train", "datasets/phantoms", "evaluate", "calibrate"], settings).run("calibrating", quiet=True)

    return made_once(tmp_path_factory, "model", make) / "model"


@pytest.fixture(scope="session")
def model_with_graph(model_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same model behind `qfae export`, which takes ten seconds."""
    pytest.importorskip("onnxruntime", reason="the extra export is not installed")

    def make(folder: Path) -> None:
        shutil.copytree(model_folder, folder / "model")
        ended = CliRunner().invoke(app, ["export", "-m", str(folder / "model")], catch_exceptions=False)
        assert ended.exit_code == 0, ended.output

    return made_once(tmp_path_factory, "graph", make) / "model"


@pytest.fixture(scope="session")
def image_model(model_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same network as a model of single images, without thresholds."""
    folder = tmp_path_factory.mktemp("images") / "model"
    import_checkpoint(model_folder / NETWORK, folder, ["train", "datasets/bmad"], {"preset": "tiny"})
    return folder


@pytest.fixture
def model_copy(model_folder: Path, tmp_path: Path) -> Path:
    """A model folder of the test's own, to be changed."""
    return Path(shutil.copytree(model_folder, tmp_path / "copy" / "model"))


@pytest.fixture(scope="session")
def cohort_folders(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folder with normal/, abnormal/ and masks/, as a user has scans: four normal patients and one with a lesion."""

    def make(folder: Path) -> None:
        write_phantom_cohort(folder / "all", train=4, validation=1, test_normal=1, test_abnormal=1, seed=8)
        for part, place, pattern in (
            ("normal", "image", "train*"),
            ("abnormal", "image", "test-001*"),
            ("masks", "label", "test-001*"),
        ):
            (folder / part).mkdir()
            for file in (folder / "all" / place).glob(pattern):
                shutil.copy(file, folder / part / file.name)

    return made_once(tmp_path_factory, "cohort-folders", make)


@pytest.fixture(scope="session")
def trained_folder(cohort_folders: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What `qfae train` makes of them in three epochs: model with plan, thresholds, fingerprint and figures."""

    def make(folder: Path) -> None:
        train(
            cohort_folders / "normal",
            folder / "model",
            images=BUDGET,
            abnormal=cohort_folders / "abnormal",
            masks=cohort_folders / "masks",
        )

    return made_once(tmp_path_factory, "trained", make) / "model"
