"""Weights for an evaluation: all of them, or an error, and none where MONAI's federated client brings them."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from ignite.engine import Engine
from monai.bundle import ConfigParser
from monai.fl.client.monai_algo import disable_ckpt_loaders
from torch import nn

from qfae_monai.training import CheckpointLoader


@pytest.mark.parametrize("nested", [True, False])
def test_it_loads_when_the_engine_starts(tmp_path: Path, nested: bool) -> None:
    source, network, engine = nn.Linear(2, 2), nn.Linear(2, 2), Engine(lambda *_: None)
    torch.save({"model": source.state_dict()} if nested else source.state_dict(), tmp_path / "model.pt")
    CheckpointLoader(network, tmp_path / "model.pt").attach(engine)
    assert not torch.equal(network.weight, source.weight)
    engine.run([0])
    assert torch.equal(network.weight, source.weight)
    with pytest.raises(ValueError, match=r"model\.pt does not fit Linear"):
        CheckpointLoader(nn.Linear(2, 3), tmp_path / "model.pt")(engine)


def test_the_federated_client_finds_it() -> None:
    handler = {"_target_": "qfae_monai.training.CheckpointLoader", "network": "@network", "load_path": "model.pt"}
    parser = ConfigParser({"validate": {"handlers": [handler]}})
    disable_ckpt_loaders(parser)
    assert parser["validate#handlers"][0]["_disabled_"] is True
