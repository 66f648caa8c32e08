"""Where bfloat16 is worth it: MONAI's engines autocast for CUDA only, so on a CPU the setting lives in the network."""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext
from typing import Literal

import torch

Precision = Literal["auto", "float32", "bfloat16"]
PRECISIONS = ("auto", "float32", "bfloat16")


def check_precision(precision: str) -> None:
    """Raise ValueError unless `precision` is one of `PRECISIONS`."""
    if precision not in PRECISIONS:
        raise ValueError(f"precision must be one of {PRECISIONS}, got {precision!r}")


def cpu_has_bfloat16() -> bool:
    """True on a CPU with native bfloat16 dot products (AVX512-BF16 or AMX), where autocast is 2 to 5 times faster."""
    capabilities = getattr(torch.cpu, "get_capabilities", None)
    if capabilities is not None:
        known = capabilities()
        return bool(known.get("avx512_bf16") or known.get("amx_bf16") or known.get("amx_tile"))
    supported = getattr(torch.cpu, "_is_avx512_bf16_supported", None)
    return bool(supported is not None and supported())


def autocast(device: torch.device, precision: Precision) -> AbstractContextManager:
    """Context in which a forward pass runs.

    `float32` leaves everything as it is, `bfloat16` asks for autocast, and `auto` asks for it only on a CPU that has
    native bfloat16: on CUDA the choice stays with the trainer's `amp`.
    """
    if precision == "float32" or (precision == "auto" and not (device.type == "cpu" and cpu_has_bfloat16())):
        return nullcontext()
    return torch.autocast(device.type, dtype=torch.bfloat16)
