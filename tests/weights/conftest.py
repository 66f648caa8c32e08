"""What the tests of weights share: a machine without a network and with an empty hub cache, and a tiny transformer."""

from __future__ import annotations

import socket
from pathlib import Path
from typing import Any

import huggingface_hub
import pytest


@pytest.fixture(autouse=True)
def hub_cache(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """Folder of an empty hub cache; any use of the network fails the test."""

    def refuse(*args: Any, **kwargs: Any) -> None:
        pytest.fail(f"the network was used: {args}")

    monkeypatch.setattr(socket, "getaddrinfo", refuse)
    monkeypatch.setattr(socket.socket, "connect", refuse)
    cache = tmp_path / "hub-cache"
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_CACHE", str(cache))
    return cache


@pytest.fixture
def tiny() -> dict[str, int]:
    """Arguments that make any vision transformer small: 64 x 64 pixels, two blocks of width 48."""
    return {"image_size": 64, "embed_dim": 48, "depth": 2, "num_heads": 3}
