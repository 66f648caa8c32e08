"""Which number format the matrix products run in: MONAI's engines autocast for CUDA only, so the networks do it."""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext
from typing import Literal

import torch
from torch import nn

Precision = Literal["auto", "float32", "tf32", "bfloat16", "float16"]
PRECISIONS = ("auto", "float32", "tf32", "bfloat16", "float16")
AMPERE = (8, 0)  # the first CUDA capability with bfloat16 and TF32 matrix products


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


def is_exporting() -> bool:
    """True while a graph is recorded for TorchScript or ONNX; compilation for this machine does not count."""
    return torch.jit.is_tracing() or torch.compiler.is_exporting()


def is_ampere(device: torch.device) -> bool:
    """True on a CUDA device with bfloat16 and TF32 matrix products."""
    return device.type == "cuda" and torch.cuda.get_device_capability(device) >= AMPERE


def compute_dtype(device: torch.device, precision: Precision) -> torch.dtype:
    """What matrix products run in on this device.

    `auto` is bfloat16 where the device has it, float32 elsewhere, and in a graph that is being exported: it will run on
    other machines. bfloat16 on a CPU without it gives the same numbers,
    slowly. float16 is for CUDA alone, because the trainer scales gradients only there.

    Raises:
        ValueError: if the device lacks the precision; the message says which ones it has.
    """
    check_precision(precision)
    if precision == "auto":
        native = is_ampere(device) or (device.type == "cpu" and cpu_has_bfloat16())
        return torch.bfloat16 if native and not is_exporting() else torch.float32
    if precision == "float32":
        return torch.float32
    if precision == "float16":
        _require(device.type == "cuda", device, precision, "a CUDA device, whose gradients the trainer scales")
        return torch.float16
    capable = is_ampere(device)
    _require(capable or (precision == "bfloat16" and device.type != "cuda"), device, precision,
             "a CUDA device of capability 8.0 or newer")  # fmt: skip
    return torch.float32 if precision == "tf32" else torch.bfloat16


def autocast(device: torch.device, precision: Precision) -> AbstractContextManager:
    """Context in which a forward pass runs: autocast to `compute_dtype`, or nothing where that is float32."""
    dtype = compute_dtype(device, precision)
    return nullcontext() if dtype == torch.float32 else torch.autocast(device.type, dtype=dtype)


def keep_in(dtype: torch.dtype, frozen: nn.Module) -> None:
    """Keep a frozen network's matrices in the number format that they are multiplied in.

    Autocast makes the same rounding anew in each pass: it remembers the weights that are trained only. Norms and
    positions stay as they are.
    """
    for part in frozen.modules():
        if isinstance(part, nn.Linear | nn.Conv2d):
            part.to(dtype)


def prepare_precision(device: torch.device, precision: Precision) -> None:
    """Refuse what the device lacks before anything runs, and switch TF32 on for `tf32`, off for the others.

    TF32 is a switch of the process, because the backward pass runs outside of every context.

    Raises:
        ValueError: as `compute_dtype`.
    """
    compute_dtype(device, precision)
    if device.type == "cuda":
        torch.set_float32_matmul_precision("high" if precision == "tf32" else "highest")
        torch.backends.cudnn.allow_tf32 = precision == "tf32"


def _require(has: bool, device: torch.device, precision: str, needed: str) -> None:
    if not has:
        name = torch.cuda.get_device_name(device) if device.type == "cuda" else device.type
        others = ["auto", "float32", *(["float16"] if device.type == "cuda" else ["bfloat16"])]
        raise ValueError(f"precision {precision!r} needs {needed}; got {name}, which has {', '.join(others)}")
