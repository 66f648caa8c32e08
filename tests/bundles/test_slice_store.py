"""The bundle with a slice store: the same network as from memory, and volumes that are read once."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from qfae_monai.data.volume_slices import SliceCutter
from tests.bundles.conftest import TINY, run_bundle, same, weights


@pytest.mark.cpu
def test_training_from_the_store_repeats_training_from_memory(
    trained: Path, cohort: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    reads: list[str] = []
    read = SliceCutter._read

    def count(cut: SliceCutter, entry: dict[str, Any]) -> Any:
        reads.append(entry["case"])
        return read(cut, entry)

    monkeypatch.setattr(SliceCutter, "_read", count)
    for start in ("first", "second"):
        folder = tmp_path / start
        run_bundle(
            *TINY, dataset_dir=cohort, model_dir=folder, max_epochs=2, val_interval=1, slice_store=tmp_path / "store"
        )
        assert same(weights(folder), weights(trained))
    assert len(reads) == len(set(reads)) == 6  # four to train, two to validate, by the first start alone
    assert len(list((tmp_path / "store").iterdir())) == 6
