"""A results folder remembers what it was started with."""

from __future__ import annotations

from pathlib import Path

import pytest

from qfae_monai.experiments.claims import claim, claimed_inputs


def test_the_same_settings_go_on_and_others_are_named(tmp_path: Path) -> None:
    inputs = claimed_inputs(["train"], tmp_path, {"max_epochs": 2})
    assert inputs["data"] == str(tmp_path.resolve())
    for _ in range(2):
        claim(tmp_path / "run" / "settings.json", inputs)
    with pytest.raises(
        ValueError, match="run was started with other settings: --set max_epochs: started with 2, now 3"
    ):
        claim(tmp_path / "run" / "settings.json", inputs | {"--set max_epochs": 3})
