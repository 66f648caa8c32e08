"""The bundle with a slice store: the same network as from memory, and volumes that are read once."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch

from qfae_monai.data.volume_slices import SliceCutter
from tests.bundles.conftest import run_bundle


def test_training_from_the_store_repeats_training_from_memory(
    trained: Path, cohort: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    reads: list[str] = []
    read = SliceCutter._read

    def count(cut: SliceCutter, entry: dict[str, Any]) -> dict[str, torch.Tensor]:
        reads.append(entry["case"])
        return read(cut, entry)

    monkeypatch.setattr(SliceCutter, "_read", count)
    expected = torch.load(trained / "model" / "model.pt", weights_only=True)["model"]
    for start in ("first", "second"):
        folder = tmp_path / start
        run_bundle("train", "presets/tiny", "datasets/phantoms", dataset_dir=str(cohort), ckpt_dir=str(folder),
                   log_dir=str(folder / "logs"), max_epochs=2, val_interval=1,
                   slice_store=str(tmp_path / "store"))  # fmt: skip
        found = torch.load(folder / "model.pt", weights_only=True)["model"]
        assert found.keys() == expected.keys()
        assert all(torch.equal(found[key], expected[key]) for key in expected)
    assert len(reads) == len(set(reads)) == 6  # four to train, two to validate, by the first start alone
    assert len(list((tmp_path / "store").iterdir())) == 6
