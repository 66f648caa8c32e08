"""A trained model of the smallest preset, made once for all tests: read it, write nothing into it."""

from __future__ import annotations

import logging
import multiprocessing
import os
import shutil
from pathlib import Path

import pytest

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


@pytest.fixture(scope="session")
def scans(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folder with dataset.json and a handful of phantoms in image/ and label/."""
    folder = tmp_path_factory.mktemp("scans")
    write_phantom_cohort(folder, train=3, validation=3, test_normal=1, test_abnormal=2, seed=5)
    return folder


@pytest.fixture(scope="session")
def model_folder(scans: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Model of volumes after one epoch, with thresholds and a fingerprint."""
    folder = tmp_path_factory.mktemp("trained") / "model"
    settings = {"preset": "tiny", "dataset_dir": path_text(scans), "model_dir": path_text(folder), "max_epochs": 1,
                "val_interval": 1}  # fmt: skip
    Bundle(["train", "datasets/phantoms"], settings).run("training", quiet=True)
    Bundle(["train", "datasets/phantoms", "evaluate", "calibrate"], settings).run("calibrating", quiet=True)
    return folder


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
    folder = tmp_path_factory.mktemp("cohort")
    write_phantom_cohort(folder / "all", train=4, validation=1, test_normal=1, test_abnormal=1, seed=8)
    for part, place, pattern in (("normal", "image", "train*"), ("abnormal", "image", "test-001*"),
                                 ("masks", "label", "test-001*")):  # fmt: skip
        (folder / part).mkdir()
        for file in (folder / "all" / place).glob(pattern):
            shutil.copy(file, folder / part / file.name)
    return folder


@pytest.fixture(scope="session")
def trained_folder(cohort_folders: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What `qfae train` makes of them in three epochs: model with plan, thresholds, fingerprint and figures."""
    return train(cohort_folders / "normal", tmp_path_factory.mktemp("command") / "model", images=BUDGET,
                 abnormal=cohort_folders / "abnormal", masks=cohort_folders / "masks")  # fmt: skip
