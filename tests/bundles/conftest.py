"""A phantom cohort and a trained checkpoint, made once for all tests of the bundle."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from monai.bundle import run

from qfae_monai.data.phantoms import write_phantom_cohort

BUNDLE = Path(__file__).parents[2] / "bundles" / "qfae"
CONFIGS = BUNDLE / "configs"
RESUMABLE: dict[str, Any] = {"checkpoint_handlers::1::n_saved": 2}


def config(*names: str) -> list[str]:
    """Paths of the bundle's configurations."""
    return [str(CONFIGS / f"{name}.json") for name in names]


def run_bundle(*names: str, run_id: str = "training", **settings: Any) -> None:
    """`python -m monai.bundle run`, in this process."""
    run(
        run_id=run_id,
        config_file=config(*names),
        bundle_root=str(BUNDLE),
        meta_file=str(CONFIGS / "metadata.json"),
        logging_file=str(CONFIGS / "logging.conf"),
        **settings,
    )


@pytest.fixture(scope="session")
def cohort(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folder with dataset.json and a handful of phantoms."""
    folder = tmp_path_factory.mktemp("cohort")
    write_phantom_cohort(folder, train=4, validation=2, test_normal=2, test_abnormal=2, seed=3)
    return folder


@pytest.fixture(scope="session")
def trained(cohort: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folder with `model/model.pt` after two epochs, and a resumable checkpoint of each."""
    folder = tmp_path_factory.mktemp("trained")
    run_bundle(
        "train", "presets/tiny", "datasets/phantoms", dataset_dir=str(cohort), ckpt_dir=str(folder / "model"),
        log_dir=str(folder / "logs"), max_epochs=2, val_interval=1, **RESUMABLE,
    )  # fmt: skip
    return folder
