"""A phantom cohort and a model that was trained on it, made once for all tests of the bundle."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from monai.bundle import run

from qfae_monai.data.phantoms import write_phantom_cohort
from tests.conftest import made_once

BUNDLE = Path(__file__).parents[2] / "bundles" / "qfae"
CONFIGS = BUNDLE / "configs"
RESUMABLE: dict[str, Any] = {"checkpoint_handlers::1::n_saved": 2}
TINY = ("train", "datasets/phantoms")


def config(*names: str | Path) -> list[str]:
    """Paths of the bundle's configurations, by name; another's is given as a path."""
    return [str(name if isinstance(name, Path) else CONFIGS / f"{name}.yaml") for name in names]


def run_bundle(*names: str | Path, run_id: str = "training", preset: str | None = "tiny", **settings: Any) -> None:
    """`python -m monai.bundle run`, in this process; paths may be given as such."""
    if preset is not None:
        settings["preset"] = preset
    run(
        run_id=run_id,
        config_file=config(*names),
        meta_file=str(CONFIGS / "metadata.json"),
        logging_file=str(CONFIGS / "logging.conf"),
        **{"bundle_root": str(BUNDLE), **{key: plain(value) for key, value in settings.items()}},
    )


def plain(value: Any) -> Any:
    """A path as a configuration holds it."""
    return str(value) if isinstance(value, Path) else value


def weights(model: Path) -> dict[str, torch.Tensor]:
    """Values of the network of a model folder."""
    return torch.load(model / "models" / "model.pt", weights_only=True)


def same(first: dict[str, torch.Tensor], second: dict[str, torch.Tensor]) -> bool:
    """Whether two networks have the same values to the last bit."""
    return first.keys() == second.keys() and all(torch.equal(first[key], second[key]) for key in first)


@pytest.fixture(scope="session")
def cohort(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folder with dataset.json and a handful of phantoms."""
    counts = {"train": 4, "validation": 2, "test_normal": 2, "test_abnormal": 2}
    return made_once(tmp_path_factory, "cohort", lambda folder: write_phantom_cohort(folder, **counts, seed=3))


@pytest.fixture(scope="session")
def trained(cohort: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Model folder after two epochs, with a resumable checkpoint of each; read it, write nothing into it."""

    def make(folder: Path) -> None:
        run_bundle(*TINY, dataset_dir=cohort, model_dir=folder / "model", max_epochs=2, val_interval=1, **RESUMABLE)

    return made_once(tmp_path_factory, "bundle-model", make) / "model"
