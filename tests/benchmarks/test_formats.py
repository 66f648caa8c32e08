"""A format is emulated on a CPU that lacks it, and nowhere else."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import nn
from torch.utils._python_dispatch import _get_current_dispatch_mode_stack

from benchmarks import formats
from benchmarks.emulation import EmulatedProducts

CPU, GPU = torch.device("cpu"), torch.device("cuda")


def emulated(context: Any) -> tuple[bool, dict[str, Any]]:
    with context as settings:
        return any(isinstance(mode, EmulatedProducts) for mode in _get_current_dispatch_mode_stack()), settings


@pytest.mark.parametrize("name", formats.FORMATS)
def test_a_gpu_computes_in_its_own_formats(name: str) -> None:
    assert emulated(formats.in_format(name, GPU)) == (False, {"precision": name})


@pytest.mark.parametrize(("native", "expected"), [(False, True), (True, False)])
def test_a_cpu_without_bfloat16_is_helped(monkeypatch: pytest.MonkeyPatch, native: bool, expected: bool) -> None:
    monkeypatch.setattr(formats, "cpu_has_bfloat16", lambda: native)
    assert emulated(formats.in_format("bfloat16", CPU)) == (expected, {"precision": "bfloat16"})
    assert emulated(formats.in_format("tf32", CPU)) == (True, {"precision": "float32"})
    assert emulated(formats.in_format("float32", CPU)) == (False, {"precision": "float32"})
    assert emulated(formats.in_part("decoder", CPU))[0] == expected
    assert not emulated(formats.in_part("decoder", GPU))[0]


def test_a_part_is_cast_on_the_device_that_computes_it(monkeypatch: pytest.MonkeyPatch) -> None:
    class Part(nn.Module):
        def forward(self, image: torch.Tensor) -> torch.Tensor:
            seen.append((torch.is_autocast_enabled("cuda"), torch.is_autocast_enabled("cpu")))
            return image

    seen: list[tuple[bool, bool]] = []
    monkeypatch.setitem(formats.PARTS, "decoder", (Part,))
    monkeypatch.setattr("torch.cuda.is_available", lambda: True)
    monkeypatch.setattr("torch.cuda.is_bf16_supported", lambda: True)
    with formats.in_part("decoder", GPU):
        Part()(torch.zeros(1))
    assert seen == [(True, False)]
