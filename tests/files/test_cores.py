"""Cores beside the one of the network."""

from __future__ import annotations

import os

import pytest

from qfae_monai.files.cores import spare_cores


@pytest.mark.parametrize(("cores", "spare"), [(1, 1), (2, 1), (8, 7)])
def test_one_core_is_left_to_the_network(cores: int, spare: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda process: set(range(cores)), raising=False)
    assert spare_cores() == spare
