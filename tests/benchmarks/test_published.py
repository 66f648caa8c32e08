"""Stand-ins of published checkpoints at a small size, through the commands whose memory and time the pages state."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from benchmarks.published import commands, measure
from benchmarks.stand_in import released_names, write_images, write_released, write_weights
from qfae_monai.model.bundle import Bundle
from qfae_monai.model.folder import INFERENCE, ModelFolder
from qfae_monai.weights import read_checkpoint
from tests.cli.test_exit_codes import code_of


def stand_in(folder: Path, encoders: int) -> Path:
    write_weights(folder / "weights", encoders, small=True)
    write_released(folder / "last_ckpt.pth", folder / "weights", encoders, small=True)
    write_images(folder / "data")
    return folder


@pytest.mark.parametrize(("encoders", "tensors"), [(1, 445), (2, 597)])
def test_stand_in_is_imported_and_evaluated(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, encoders: int, tensors: int
) -> None:
    made = stand_in(tmp_path, encoders)
    released = read_checkpoint(made / "last_ckpt.pth")
    assert list(released) == list(released_names(encoders))
    assert len(released) == tensors
    # the weights are those of the native image size, and the checkpoint's trunk is resampled to 224 pixels
    native = read_checkpoint(made / "weights" / "vit_large_patch14_reg4_dinov2.lvd142m.safetensors")
    assert native["pos_embed"].shape[1] == 37**2
    assert released["encoders.0.model.pos_embed"].shape[1] == 16**2
    assert torch.equal(released["encoders.0.model.norm.weight"], native["norm.weight"])

    typed = {name: command[3:] for name, command in commands(made, encoders, small=True).items()}
    workers = ["--set", "num_workers=0"]
    assert code_of(monkeypatch, *typed["qfae model import"]) == 0
    model = ModelFolder.open(made / "measured" / "model")
    assert len(model.content["frozen"]) == encoders + 1
    # a published checkpoint saw BMAD's slices in their colours
    assert Bundle([model.path / INFERENCE], {"bundle_root": str(model.path)}).signature["colours"] is True
    assert code_of(monkeypatch, *typed["qfae experiments evaluate"], *workers) == 0
    readings = json.loads((made / "measured" / "readings" / "readings.json").read_text())
    assert readings["every_image"]["images"] == 12
    if encoders == 1:
        assert code_of(monkeypatch, *typed["qfae evaluate"], *workers) == 0


def test_memory_is_that_of_all_processes() -> None:
    held = "x = bytearray(80_000_000); import time; time.sleep(1.5)"
    both = f"import subprocess, sys; x = bytearray(80_000_000); subprocess.run([sys.executable, '-c', {held!r}])"
    seconds, gigabytes = measure([sys.executable, "-c", both])
    assert seconds > 1.5
    assert 0.16 < gigabytes < 0.3
    with pytest.raises(subprocess.CalledProcessError):
        measure([sys.executable, "-c", "raise SystemExit(3)"])
